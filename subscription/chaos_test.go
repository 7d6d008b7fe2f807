package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// TestCutsAndLostAnswersAtRandomLeaveEachEffectOnce lets three members share partitions while writers append, and at
// random cuts one off for longer or shorter than its lease, loses answers of its commits, or stops and starts it. In the
// end each stream's record must hold each of its events once, in order.
func TestCutsAndLostAnswersAtRandomLeaveEachEffectOnce(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		const (
			members = 3
			streams = 20
			lasting = 2500 * time.Millisecond
		)
		s := store.New(open(), store.Options{})
		o := quick(t)
		o.Partitions, o.BatchEvents, o.Lease = 5, 10, 300*time.Millisecond
		o.Retry = subscription.Retry{Attempts: 1 << 30, Initial: time.Millisecond, Max: 10 * time.Millisecond}
		o.OnError = func(error) {}
		seed := rand.Uint64()
		t.Logf("seed %d", seed)

		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var writing sync.WaitGroup
		for w := range 2 {
			writing.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(w)))
				for ctx.Err() == nil {
					appendTo(t, s, event.StreamID(fmt.Sprintf("s-%d", random.IntN(streams))), "x", "x")
					pause(ctx, time.Duration(random.IntN(4))*time.Millisecond)
				}
			})
		}
		var disturbing sync.WaitGroup
		for m := range members {
			f := &faulty{Backend: open()}
			own := store.New(f, store.Options{})
			disturbing.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(100+m)))
				for ctx.Err() == nil {
					running, end := context.WithCancel(context.Background())
					sub, err := subscription.New(own, "chaos", noting(own), o)
					if err != nil {
						t.Error(err)
					}
					done := make(chan error, 1)
					go func() { done <- sub.Run(running) }()
					for range random.IntN(4) {
						pause(ctx, time.Duration(random.IntN(200))*time.Millisecond)
						switch random.IntN(2) {
						case 0:
							f.set(down, nil)
						case 1:
							f.set(nil, func([]store.Op) error {
								if rand.IntN(3) == 0 {
									return errDown
								}
								return nil
							})
						}
						pause(ctx, time.Duration(random.IntN(600))*time.Millisecond)
						f.set(nil, nil)
					}
					if random.IntN(2) == 0 {
						f.set(down, nil) // it stops without being able to say so
					}
					end()
					if err := <-done; err != nil {
						t.Errorf("member %d: %v", m, err)
					}
					f.set(nil, nil)
				}
			})
		}
		pause(ctx, lasting)
		stop()
		writing.Wait()
		disturbing.Wait()

		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sub := start(t, newSubscription(t, s, "chaos", noting(s), o))
		mustReach(t, sub.Subscription, head)
		if err := sub.end(); err != nil {
			t.Error(err)
		}
		want := map[event.StreamID]string{}
		for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
			if err != nil {
				t.Fatal(err)
			}
			want[e.Stream] += fmt.Sprintf("%d ", e.Version)
		}
		for stream, versions := range want {
			r, err := s.Get(t.Context(), "notes", string(stream))
			if err != nil || string(r.Value) != versions {
				t.Errorf("stream %s: noted %q, %v\nwant %q", stream, r.Value, err, versions)
			}
		}
		t.Logf("%d events", head)
	})
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// noting appends the versions of a stream's events to its record, in one unit with the checkpoint.
func noting(s *store.Store) process {
	return func(ctx context.Context, b *subscription.Batch) error {
		notes := map[event.StreamID]*strings.Builder{}
		for _, e := range b.Events {
			if notes[e.Stream] == nil {
				notes[e.Stream] = &strings.Builder{}
			}
			fmt.Fprintf(notes[e.Stream], "%d ", e.Version)
		}
		var ops []store.Op
		for stream, text := range notes {
			r, err := s.Get(ctx, "notes", string(stream))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			ops = append(ops, store.Put("notes", string(stream), append(r.Value, text.String()...)))
		}
		return b.Commit(ctx, ops...)
	}
}
