package storetest

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// scalePerStream is how many events each stream of a log has that BenchmarkScale fills.
const scalePerStream = 10

// scaleVariable is the environment variable with the number of events of BenchmarkScale's large log.
const scaleVariable = "LEX_BENCH_EVENTS"

// BenchmarkScale measures what an append to, and a load of, one of 1,000 streams costs in a log of 10,000 events and in
// one of LEX_BENCH_EVENTS (default 100,000; filling it with ten millions takes minutes). The streams are scattered over the log, and the events of each stream over its whole length, which is the
// worst that can be; "new" are streams that begin when the log is full.
func BenchmarkScale(b *testing.B, open func(b *testing.B) store.Backend) {
	large := 100_000
	if text := os.Getenv(scaleVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 10_000 {
			b.Fatalf("%s is %q: must be a number of at least 10000", scaleVariable, text)
		}
		large = n
	}
	for _, size := range []int{10_000, large} {
		b.Run(fmt.Sprintf("log=%d", size), func(b *testing.B) {
			s := store.New(open(b), store.Options{})
			streams := size / scalePerStream
			fillScattered(b, s, streams)
			scattered := func(i int) event.StreamID { return scaleStream(i % 1000 * (streams / 1000)) }
			fresh := func(i int) event.StreamID { return event.StreamID(fmt.Sprintf("new-%d", i%1000)) }
			for i := range 1000 {
				if _, err := s.Append(b.Context(), fresh(i), store.NoStream(), scaleEvents(scalePerStream)...); err != nil {
					b.Fatal(err)
				}
			}
			for _, c := range []struct {
				name string
				of   func(i int) event.StreamID
			}{{"scattered", scattered}, {"new", fresh}} {
				b.Run("append/"+c.name, func(b *testing.B) {
					for i := 0; b.Loop(); i++ {
						if _, err := s.Append(b.Context(), c.of(i), store.StreamExists(), scaleEvents(1)...); err != nil {
							b.Fatal(err)
						}
					}
				})
				b.Run("load/"+c.name, func(b *testing.B) {
					for i := 0; b.Loop(); i++ {
						for _, err := range s.ReadStream(b.Context(), store.StreamRead{Stream: c.of(i), Limit: scalePerStream}) {
							if err != nil {
								b.Fatal(err)
							}
						}
					}
				})
			}
		})
	}
}

func scaleStream(n int) event.StreamID { return event.StreamID(fmt.Sprintf("scale-%07d", n)) }

func scaleEvents(n int) []event.Pending {
	events := make([]event.Pending, n)
	for i := range events {
		events[i] = event.Pending{Type: "order.placed", Data: []byte(payload)}
	}
	return events
}

// fillScattered appends to each stream in turn, round after round.
func fillScattered(b *testing.B, s *store.Store, streams int) {
	b.Helper()
	const perCommit = 2000
	for round := range scalePerStream {
		for at := 0; at < streams; at += perCommit {
			var c store.Commit
			for i := at; i < min(at+perCommit, streams); i++ {
				c.Appends = append(c.Appends, store.Append{
					Stream: scaleStream(i * 7919 % streams), Expected: store.Exactly(event.Version(round)), Events: scaleEvents(1),
				})
			}
			if _, err := s.Commit(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
	}
}
