// Command bustest proves a broker driver under fire. Publisher processes send messages over many keys, while the processes
// of one consumer group handle them; meanwhile the consumers are killed with -9 at random, a TCP proxy between all of
// them and the broker cuts, resets, refuses, delays and loses answers, and the broker is restarted twice, first gracefully
// and then killed. In the end it compares what was handled with what was published:
//
//   - every confirmed message was handled at least once;
//   - the messages of a key were handled in their order, apart from redeliveries of what had been handled before;
//   - each poisoned message is among the dead letters, and nothing else is;
//   - the processes that ended in good order had no goroutine left, and none of them took more memory than -max-rss.
//
// Usage:
//
//	go run ./scripts/bustest -broker URL [-messages 200000] [-keys 1000] [-for 60s] [-restart "scripts/services restart NAME"]
//	go run ./scripts/bustest -broker URL -outbox STORE_URL …
//
// The command of -restart is called once as it is, and once with --kill behind it; without one the broker is not
// restarted. With -outbox, events are appended to the empty store that its URL names, and relay processes, which are
// killed too, take the place of the publishers: what was handled must be the store's log. For brokers with leases or
// sessions choose short ones, so that what a killed consumer held goes on soon: redis://host:6379/0?lease=2s,
// kafka://host:9092?session_timeout=3s. Where a URL names several hosts, there is no proxy.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// childEnv holds, in a process that bustest has started, what it is to do. It is no flag, since a URL may hold a password.
const childEnv = "BUSTEST_CHILD"

func main() {
	if task := os.Getenv(childEnv); task != "" {
		os.Exit(runChild(task))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var (
		t        = bustest{out: os.Stdout}
		asJSON   bool
		maxRSSMB int64
	)
	flag.StringVar(&t.broker, "broker", os.Getenv("LEX_EVENTS_BROKER"), "URL of the broker")
	flag.IntVar(&t.messages, "messages", 200_000, "messages to publish")
	flag.IntVar(&t.keys, "keys", 1000, "different keys")
	flag.IntVar(&t.publishers, "publishers", 4, "publisher processes (relays with -outbox)")
	flag.IntVar(&t.consumers, "consumers", 3, "consumer processes, one group")
	flag.DurationVar(&t.lasts, "for", time.Minute, "over how much time to publish, and to make faults")
	flag.DurationVar(&t.patience, "patience", 5*time.Minute, "how long to wait for the rest afterwards")
	flag.StringVar(&t.restart, "restart", "", "command that restarts the broker; with --kill behind it, kills it first")
	flag.StringVar(&t.store, "outbox", "", "URL of an empty store: publish its events by the outbox relay")
	flag.Int64Var(&maxRSSMB, "max-rss", 256, "MiB of memory that a process may take at most")
	flag.BoolVar(&asJSON, "json", false, "print a summary as JSON in place of the lines for people")
	flag.Parse()
	if flag.NArg() > 0 || t.broker == "" || t.messages < t.keys || t.keys < t.publishers || t.publishers < 1 || t.consumers < 1 || t.lasts < 3*time.Second {
		fmt.Fprintln(os.Stderr, "bustest: need -broker, at least one message for each key, a key for each publisher, a consumer and 3 s")
		os.Exit(2)
	}
	t.maxRSS = maxRSSMB << 20
	if asJSON {
		t.out = nil
	}
	s, err := t.run(ctx)
	if asJSON {
		if err != nil {
			s.Error = err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
			fmt.Fprintln(os.Stderr, "bustest:", err)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bustest: FAILED:", err)
		os.Exit(1)
	}
}
