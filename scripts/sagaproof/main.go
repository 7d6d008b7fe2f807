// Command sagaproof proves sagas under fire. Worker processes run the fulfilment saga of examples/orders with suppliers
// that decline, fail, panic, lose their answers, answer late, begin to work when nobody waits any more, and some that
// never take anything back. Meanwhile the workers are killed with -9 at random, and frozen until their leases are over.
// The suppliers keep a ledger, a table outside of the store that counts effects by their idempotency keys. In the end:
//
//   - every instance is completed, compensated or visibly failed, in its stream and in the index; nothing is stuck;
//   - every history is well-formed: what was begun was settled once, nothing happened after the end;
//   - what the histories say was done stands in the ledger once, what they say was not done does not stand there, and the
//     ledger knows of nothing else;
//   - what may have been done (it timed out, its answer was lost, its worker died) and was then given up was taken back;
//   - of the instances whose compensation has failed, an operator's retry, once the supplier is repaired, brings half of them
//     to their end.
//
// Usage:
//
//	go run ./scripts/sagaproof [-instances 10000] [-workers 3] [-over 30s] [-store URL] [-json]
//
// The store must hold no events, and is made where it is missing; the default is a SQLite file in a temporary folder.
// -break shows that the proof can fail: it breaks something that the proof must find, one of skip-compensation,
// ignore-fencing, new-keys, hide-unknown. The exit code is 0 when all holds, 1 when something does not, 2 for wrong usage.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if text := os.Getenv(workerEnv); text != "" {
		os.Exit(runWorker(text))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var (
		p      = proof{out: os.Stdout}
		asJSON bool
	)
	flag.IntVar(&p.instances, "instances", 10_000, "instances to start")
	flag.IntVar(&p.workers, "workers", 3, "worker processes")
	flag.DurationVar(&p.over, "over", 30*time.Second, "over how much time to start them")
	flag.DurationVar(&p.patience, "patience", 5*time.Minute, "how long to wait for their ends afterwards")
	flag.StringVar(&p.store, "store", "", "URL of an empty store (default: a SQLite file in a temporary folder)")
	flag.StringVar(&p.sabotage, "break", "", "break something that the proof must find: "+strings.Join(sabotages(), ", "))
	flag.BoolVar(&asJSON, "json", false, "print a summary as JSON in place of the lines for people")
	flag.Parse()
	if flag.NArg() > 0 || p.instances < 1 || p.workers < 1 || p.over < 0 || p.sabotage != "" && !slices.Contains(sabotages(), p.sabotage) {
		fmt.Fprintln(os.Stderr, "sagaproof: need at least one instance and one worker; -break is one of", strings.Join(sabotages(), ", "))
		os.Exit(2)
	}
	if asJSON {
		p.out = nil
	}
	s, err := p.run(ctx)
	if asJSON {
		if err != nil {
			s.Error = err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
			fmt.Fprintln(os.Stderr, "sagaproof:", err)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sagaproof: FAILED:", err)
		os.Exit(1)
	}
}
