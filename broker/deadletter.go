package broker

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// The headers that DeadLetterTo adds to a message.
const (
	HeaderDeadGroup    = "dead-group"    // the group that could not handle it
	HeaderDeadTopic    = "dead-topic"    // the topic that it was published to
	HeaderDeadError    = "dead-error"    // of the last attempt, at most 1,000 bytes
	HeaderDeadAttempts = "dead-attempts" // how often it was tried
)

// DeadLetterTo keeps dead letters of a group as messages of another topic: the message as it was, with headers that say
// what happened. So that they are kept while nobody consumes them, it declares the group "dead-letters" for that topic,
// before the first one.
func DeadLetterTo(b *Broker, group, topic string) DeadLetterFunc {
	var (
		mu       sync.Mutex
		declared bool
	)
	return func(ctx context.Context, d Delivery, cause error) error {
		mu.Lock()
		if !declared {
			if err := b.Declare(ctx, Group{Name: "dead-letters", Topics: []string{topic}}); err != nil {
				mu.Unlock()
				return err
			}
			declared = true
		}
		mu.Unlock()
		m := d.Message
		m.Headers = maps.Clone(m.Headers)
		if m.Headers == nil {
			m.Headers = map[string]string{}
		}
		m.Headers[HeaderDeadGroup] = group
		m.Headers[HeaderDeadTopic] = m.Topic
		m.Headers[HeaderDeadError] = printable(cause.Error(), 1000)
		m.Headers[HeaderDeadAttempts] = strconv.Itoa(d.Attempt)
		m.Topic = topic
		return b.Publish(ctx, m)
	}
}

// printable makes a header's value of any text.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || checkText(string(r)) != nil {
			return ' '
		}
		return r
	}, s)
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
