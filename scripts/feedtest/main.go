// Command feedtest proves the read side under fire. Writers append while consumer processes follow the log, each with a
// subscription, two projections and an outbox relay; meanwhile the consumers are killed with -9, and stopped and continued
// after their leases are over, at random. One read model is rebuilt under this load. In the end it compares everything
// with the log:
//
//   - the subscription's handler and the relay have got every event, and none before its predecessor in the stream;
//   - the read models (documents, and a table in the user's own SQL) equal a fold of the log: no event missing, none twice;
//   - at no time did a reader see a document go back, as a half-built model would;
//   - each poisoned event is a dead letter, and the rest flowed.
//
// Usage:
//
//	go run ./scripts/feedtest [-for 60s] [-writers 16] [-consumers 3] [-store URL]
//
// The store must hold no events, and is made where it is missing; the default is a SQLite file in a temporary folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var (
		t        feedtest
		consumer bool
	)
	flag.DurationVar(&t.lasts, "for", time.Minute, "how long to write and to kill")
	flag.IntVar(&t.writers, "writers", 16, "writers at the same time")
	flag.IntVar(&t.consumers, "consumers", 3, "consumer processes")
	flag.StringVar(&t.store, "store", "", "URL of an empty store (default: a SQLite file in a temporary folder)")
	flag.StringVar(&t.folder, "folder", "", "where the ledgers are (for the consumers)")
	flag.BoolVar(&consumer, "consumer", false, "be a consumer (feedtest starts them itself)")
	flag.Parse()
	if flag.NArg() > 0 || t.lasts < 3*time.Second || t.writers < 1 || t.consumers < 1 {
		fmt.Fprintln(os.Stderr, "feedtest: at least 3 s, one writer and one consumer are needed")
		os.Exit(2)
	}
	run := t.run
	if consumer {
		run = t.consume
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "feedtest: FAILED:", err)
		os.Exit(1)
	}
}

// feedtest is one test, or one consumer of it.
type feedtest struct {
	lasts              time.Duration
	writers, consumers int
	store              string
	folder             string
}
