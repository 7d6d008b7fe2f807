module lexigram.dev/events

go 1.26
