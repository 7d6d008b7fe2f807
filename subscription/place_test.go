package subscription_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// Where a subscription stands: checkpoints, states, control.

// elapse lets time pass in a bubble.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble it takes no time
	synctest.Wait()
}

func TestEventsThatAFilterLeavesOutMoveTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		appendTo(t, s, "a-1", "wanted", "other", "other")
		var j journal
		o := quiet(t)
		o.Filter = store.Filter{Query: store.Query{{Types: []string{"wanted"}}}}
		o.Partitions = 3
		sub := start(t, newSubscription(t, s, "filter", subscription.Handler(j.Handle), o))
		mustReach(t, sub.Subscription, 3)
		last := appendTo(t, s, "b-1", "other")
		mustReach(t, sub.Subscription, last)
		elapse(2 * time.Second)
		if st := status(t, s, "filter"); st.Position != last || st.State != subscription.StateLive || st.Lag != 0 || st.LagTime != 0 {
			t.Errorf("status: %+v", st)
		}
		if got := j.types(); got != "wanted " {
			t.Errorf("handled %q", got)
		}
	})
}

func TestCheckpointsAreWrittenAfterSoManyEventsAndAfterSoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		o := quiet(t)
		o.CheckpointEvery, o.CheckpointInterval = 2, time.Minute
		var j journal
		sub := start(t, newSubscription(t, s, "often", subscription.Handler(j.Handle), o))
		synctest.Wait()
		elapse(time.Second)
		appendTo(t, s, "a-1", "one")
		synctest.Wait()
		if st := status(t, s, "often"); st.Position != 0 || j.count() != 1 {
			t.Errorf("after one event of two: at %d, %d handled", st.Position, j.count())
		}
		appendTo(t, s, "a-1", "two")
		synctest.Wait()
		if st := status(t, s, "often"); st.Position != 2 {
			t.Errorf("after two events: at %d", st.Position)
		}
		appendTo(t, s, "a-1", "three")
		elapse(2 * time.Minute)
		if st := status(t, s, "often"); st.Position != 3 {
			t.Errorf("after the interval: at %d", st.Position)
		}
		appendTo(t, s, "a-1", "four")
		synctest.Wait()
		if err := sub.end(); err != nil {
			t.Error(err)
		}
		if st := status(t, s, "often"); st.Position != 4 {
			t.Errorf("after the stop: at %d", st.Position)
		}
	})
}

func TestASubscriptionBeginsWhereItIsTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		start subscription.Start
		want  string
	}{
		{"the start", subscription.FromStart(), "one two three late "},
		{"after a position", subscription.After(2), "three late "},
		{"now", subscription.FromNow(), "late "},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory(t)
				appendTo(t, s, "a-1", "one", "two", "three")
				var j journal
				o := quiet(t)
				o.Start = c.start
				sub := start(t, newSubscription(t, s, "start", subscription.Handler(j.Handle), o))
				<-sub.CaughtUp()
				mustReach(t, sub.Subscription, appendTo(t, s, "a-1", "late"))
				if err := sub.end(); err != nil {
					t.Fatal(err)
				}
				// The second time the checkpoint counts, not the start.
				sub = start(t, sub.Subscription)
				mustReach(t, sub.Subscription, appendTo(t, s, "a-1", "again"))
				if got := j.types(); got != c.want+"again " {
					t.Errorf("handled %q, want %q", got, c.want+"again ")
				}
			})
		})
	}
	t.Run("not behind the head", func(t *testing.T) {
		o := quiet(t)
		o.Start = subscription.After(7)
		err := newSubscription(t, memory(t), "start", subscription.Handler(new(journal).Handle), o).Run(t.Context())
		if !errors.Is(err, subscription.ErrCheckpoint) {
			t.Errorf("got %v", err)
		}
	})
}

func TestACheckpointThatCannotBeUsedIsRefused(t *testing.T) {
	const bucket, key = "subscription/checkpoints", "damaged/00000"
	good := func() map[string]any {
		return map[string]any{"position": 1, "partitions": 2, "epoch": 1, "moved_at": time.Now()}
	}
	with := func(field string, value any) []byte {
		record := good()
		record[field] = value
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, op := range map[string]store.Op{
		"garbage":               store.Put(bucket, key, []byte("\x00\x01")),
		"empty":                 store.Put(bucket, key, nil),
		"half of it":            store.Put(bucket, key, with("position", 1)[:20]),
		"followed by more":      store.Put(bucket, key, append(with("position", 1), "{}"...)),
		"a field of the future": store.Put(bucket, key, with("shards", 3)),
		"a text for a position": store.Put(bucket, key, with("position", "one")),
		"a negative position":   store.Put(bucket, key, with("position", -1)),
		"behind the head":       store.Put(bucket, key, with("position", 100)),
		"other partitions":      store.Put(bucket, key, with("partitions", 4)),
		"one is missing":        store.Delete(bucket, key),
		"one too many":          store.Put(bucket, "damaged/00002", with("position", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory(t)
				appendTo(t, s, "a-1", "one", "two")
				var j journal
				o := quiet(t)
				o.Partitions = 2
				sub := newSubscription(t, s, "damaged", subscription.Handler(j.Handle), o)
				m := start(t, sub)
				mustReach(t, sub, 2)
				if err := m.end(); err != nil {
					t.Fatal(err)
				}
				handled := j.count()
				if _, err := s.Apply(t.Context(), op); err != nil {
					t.Fatal(err)
				}
				if err := sub.Run(t.Context()); !errors.Is(err, subscription.ErrCheckpoint) {
					t.Errorf("Run returned %v, want ErrCheckpoint", err)
				}
				if j.count() != handled {
					t.Error("events were handled")
				}
				control := subscription.NewControl(s)
				listed := 0
				for st, err := range control.List(t.Context()) {
					if err != nil || st.Name != "damaged" || st.State != subscription.StateFaulted {
						t.Errorf("listed as %+v, %v", st, err)
					}
					listed++
				}
				if listed != 1 {
					t.Errorf("listed %d times", listed)
				}
				if err := control.Delete(t.Context(), "damaged"); err != nil {
					t.Error(err)
				}
				m = start(t, sub)
				mustReach(t, sub, 2)
				if err := m.end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestACheckpointThatIsDamagedWhileItRunsEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		sub := start(t, newSubscription(t, s, "damaged", subscription.Handler(new(journal).Handle), quiet(t)))
		mustReach(t, sub.Subscription, appendTo(t, s, "a-1", "one"))
		if _, err := s.Apply(t.Context(), store.Put("subscription/checkpoints", "damaged/00000", []byte("{"))); err != nil {
			t.Fatal(err)
		}
		elapse(2 * time.Second)
		appendTo(t, s, "a-1", "two")
		if err := sub.wait(); !errors.Is(err, subscription.ErrCheckpoint) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestAClosedStoreEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		sub := start(t, newSubscription(t, s, "closed", subscription.Handler(new(journal).Handle), quiet(t)))
		<-sub.CaughtUp()
		_ = s.Close()
		if err := sub.wait(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestAPauseHoldsAlsoAcrossRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		control := subscription.NewControl(s)
		var j journal
		sub := start(t, newSubscription(t, s, "paused", subscription.Handler(j.Handle), quiet(t)))
		mustReach(t, sub.Subscription, appendTo(t, s, "a-1", "one"))
		if err := control.Pause(t.Context(), "paused"); err != nil {
			t.Fatal(err)
		}
		elapse(2 * time.Second)
		appendTo(t, s, "a-1", "two")
		elapse(2 * time.Second)
		if st := status(t, s, "paused"); st.State != subscription.StatePaused || st.Position != 1 || st.Lag != 1 {
			t.Errorf("status: %+v", st)
		}
		if err := sub.end(); err != nil {
			t.Fatal(err)
		}
		sub = start(t, sub.Subscription)
		elapse(5 * time.Minute)
		if st := status(t, s, "paused"); j.count() != 1 || st.State != subscription.StatePaused || st.LagTime < 5*time.Minute {
			t.Errorf("after a restart %d are handled, status: %+v", j.count(), st)
		}
		if err := sub.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
		if err := control.Resume(t.Context(), "paused"); err != nil {
			t.Fatal(err)
		}
		mustReach(t, sub.Subscription, 2)
		elapse(2 * time.Second)
		if st := status(t, s, "paused"); st.State != subscription.StateLive || st.Position != 2 {
			t.Errorf("after Resume: %+v", st)
		}
	})
}

func TestAStalledSubscriptionIsToldFromAnIdleOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		release := make(chan struct{})
		sub := start(t, newSubscription(t, s, "stuck", subscription.Handler(func(_ context.Context, e event.Recorded) error {
			if e.Type == "slow" {
				<-release
			}
			return nil
		}), quiet(t)))
		mustReach(t, sub.Subscription, appendTo(t, s, "a-1", "quick"))
		elapse(time.Hour)
		if st := status(t, s, "stuck"); st.State != subscription.StateLive || st.Lag != 0 {
			t.Errorf("after an hour without events: %+v", st)
		}
		appendTo(t, s, "a-1", "slow")
		elapse(30 * time.Second)
		if st := status(t, s, "stuck"); st.State != subscription.StateLive || st.Lag != 1 || st.LagTime != 30*time.Second {
			t.Errorf("half a minute at an event: %+v", st)
		}
		elapse(time.Minute)
		if st := status(t, s, "stuck"); st.State != subscription.StateStalled {
			t.Errorf("one and a half minutes at an event: %+v", st)
		}
		if err := sub.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "stalled") {
			t.Errorf("health: %v", err)
		}
		close(release)
		mustReach(t, sub.Subscription, 2)
		elapse(2 * time.Second)
		if st := status(t, s, "stuck"); st.State != subscription.StateLive {
			t.Errorf("when it moves again: %+v", st)
		}
	})
}

func TestTheStatusOfADeadProcessDisappears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Backend: memory(t).Backend()}
		s := store.New(f.Backend, store.Options{})
		sub := start(t, newSubscription(t, store.New(f, store.Options{}), "dies", subscription.Handler(new(journal).Handle), quiet(t)))
		mustReach(t, sub.Subscription, appendTo(t, s, "a-1", "one"))
		elapse(2 * time.Second)
		if st := status(t, s, "dies"); st.State != subscription.StateLive || st.Partitions[0].Owner == "" {
			t.Errorf("while it runs: %+v", st)
		}
		f.set(down, nil)
		elapse(11 * time.Second)
		if st := status(t, s, "dies"); st.State != subscription.StateStopped || st.Partitions[0].Owner != "" {
			t.Errorf("after its lease has expired: %+v", st)
		}
	})
}

func TestASlowPartitionDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		const partitions = 3
		slow, quick := event.StreamID("slow-1"), event.StreamID("")
		for i := 0; quick == "" || subscription.PartitionOf(quick, partitions) == subscription.PartitionOf(slow, partitions); i++ {
			quick = event.StreamID(fmt.Sprintf("quick-%d", i))
		}
		var first event.Position
		for i := range 30 {
			appendTo(t, s, slow, "s")
			if p := appendTo(t, s, quick, "q"); i == 0 {
				first = p
			}
		}
		var quicks, slows atomic.Int64
		release := make(chan struct{})
		o := quiet(t)
		o.Partitions, o.BatchEvents = partitions, 2
		sub := start(t, newSubscription(t, s, "uneven", subscription.Handler(func(_ context.Context, e event.Recorded) error {
			if e.Stream == quick {
				quicks.Add(1)
				return nil
			}
			if slows.Add(1); e.Position < first {
				<-release
			}
			return nil
		}), o))
		elapse(5 * time.Second)
		if quicks.Load() != 30 || slows.Load() != 1 {
			t.Errorf("while a partition stands still, %d of 30 events of another are handled", quicks.Load())
		}
		appendTo(t, s, quick, "q")
		synctest.Wait()
		if quicks.Load() != 31 {
			t.Error("an event of another partition was not handled at once")
		}
		close(release)
		mustReach(t, sub.Subscription, 61)
		if quicks.Load() != 31 || slows.Load() != 30 {
			t.Errorf("handled %d and %d, want 31 and 30", quicks.Load(), slows.Load())
		}
	})
}

func TestAResetToWhereItIsNotIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		control := subscription.NewControl(s)
		if err := control.Reset(t.Context(), "nobody", 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown name: %v", err)
		}
		for _, call := range []func(context.Context, string) error{control.Pause, control.Resume, control.Delete} {
			if err := call(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("an unknown name: %v", err)
			}
			if err := call(t.Context(), "no/body"); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("a faulty name: %v", err)
			}
		}
		sub := start(t, newSubscription(t, s, "known", subscription.Handler(new(journal).Handle), quiet(t)))
		mustReach(t, sub.Subscription, appendTo(t, s, "a-1", "one"))
		for _, p := range []event.Position{-1, 2} {
			if err := control.Reset(t.Context(), "known", p); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("position %d: %v", p, err)
			}
		}
		if err := control.Delete(t.Context(), "known"); !errors.Is(err, subscription.ErrRunning) {
			t.Errorf("delete while it runs: %v", err)
		}
		if err := sub.Run(t.Context()); !errors.Is(err, subscription.ErrRunning) {
			t.Errorf("a second Run: %v", err)
		}
	})
}

func TestAllFaultsOfTheOptionsAreReportedTogether(t *testing.T) {
	_, err := subscription.New(nil, "a/b", nil, subscription.Options{
		Partitions: -1, BatchEvents: -1, CheckpointEvery: -1, CheckpointInterval: -1, PollInterval: -1, Lease: -1, Grace: -1,
		StalledAfter: -1, Retry: subscription.Retry{Attempts: -1, Initial: -1, Max: -1}, Failure: 99, Owner: "\x00",
		Source: "\x01", Start: subscription.After(-1), Filter: store.Filter{Categories: []string{"a-b"}},
	})
	if !errors.Is(err, store.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{
		"a/b", "store", "processor", "partitions", "batches", "checkpoint every", "checkpoint interval", "poll interval", "lease", "grace",
		"stalled after", "attempts", "initial", "longest", "failure policy", "owner", "source", "start after", "filter",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not named in: %v", part, err)
		}
	}
	if _, err := subscription.New(memory(t), "ok", subscription.Handler(new(journal).Handle), subscription.Options{Failure: subscription.FailurePark}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("parking without dead letters: %v", err)
	}
}

func TestTheHashOfStreamsIsPartOfWhatIsStored(t *testing.T) {
	for _, stream := range []event.StreamID{"order-1", "order-2", "customer-é"} {
		h := fnv.New32a()
		_, _ = h.Write([]byte(stream))
		if got, want := subscription.PartitionOf(stream, 17), int(h.Sum32()%17); got != want {
			t.Errorf("stream %s is in partition %d, want %d", stream, got, want)
		}
	}
	if got := subscription.PartitionOf("order-1", 17); got != 8 {
		t.Errorf("stream order-1 was in partition 8 once, and is in %d", got)
	}
}
