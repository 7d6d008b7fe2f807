package saga_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// These are tests of what was, or nearly was, left to itself for ever.

// manage makes a process manager of version v, which does something when an order is placed.
func (s *shop) manage(t testing.TB, v int, react func(t *saga.Turn[payment], e placed) error) *saga.Manager[payment] {
	t.Helper()
	m, err := saga.Manage("steady", v, s.registry, s.bus,
		saga.Starts(func(e placed) string { return e.Order }, react),
		saga.On(func(e paid) string { return e.Order }, func(t *saga.Turn[payment], _ paid) error {
			t.Send(ship{t.ID})
			return nil
		}),
		saga.OnTimeout("late", func(t *saga.Turn[payment]) error {
			t.Send(cancel{t.ID})
			return nil
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCommandsBehindALongPauseAreSent(t *testing.T) {
	for name, completes := range map[string]bool{"another command": false, "the end": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log := newShop(t), memory(t)
				o := slow(t)
				o.Retry = saga.Retry{Attempts: 5, Initial: time.Minute, Max: time.Minute}
				run(t, newSet(t, log, o, s.manage(t, 1, func(t *saga.Turn[payment], _ placed) error {
					t.Send(remind{t.ID})
					if completes {
						t.Complete()
					} else {
						t.Send(ship{t.ID})
					}
					return nil
				})))
				tries := 0
				s.fail = func(what string) error {
					if strings.HasPrefix(what, "remind") && tries < 2 {
						tries++
						return errSupplier
					}
					return nil
				}
				s.happen(t, log, "order-1", placed{"1", 100})
				time.Sleep(30 * time.Minute) //nolint:forbidigo // in a bubble; less than a lease
				d := detail(t, log, "steady", "1")
				if want := map[bool]string{false: "remind 1, ship 1", true: "remind 1"}[completes]; s.commands() != want {
					t.Errorf("sent %v; it is %s: %s", s.commands(), d.Status, story(d))
				}
				if completes && d.Status != saga.StatusCompleted {
					t.Errorf("it is %s: %s", d.Status, story(d))
				}
			})
		})
	}
}

func TestATimerOfWhatIsDoneIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newShop(t), memory(t)
		o := slow(t)
		o.Timeout = 2 * time.Hour
		var looks atomic.Int64
		o.Now = func() time.Time {
			if looks.Add(1) > 100_000 {
				panic("the owner looks at its instance again and again")
			}
			return time.Now()
		}
		run(t, newSet(t, log, o, s.manage(t, 1, func(t *saga.Turn[payment], _ placed) error {
			t.SetTimer("late", time.Second)
			t.Send(ship{t.ID})
			t.Complete()
			return nil
		})))
		s.fail = func(string) error {
			time.Sleep(time.Hour) //nolint:forbidigo // in a bubble
			return nil
		}
		s.happen(t, log, "order-1", placed{"1", 100})
		time.Sleep(2 * time.Hour) //nolint:forbidigo // in a bubble
		if d := detail(t, log, "steady", "1"); d.Status != saga.StatusCompleted || s.commands() != "ship 1" {
			t.Errorf("sent %v; it is %s: %s", s.commands(), d.Status, story(d))
		}
	})
}

func TestAMissingVersionStopsNoOtherInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newShop(t), memory(t)
		nothing := func(*saga.Turn[payment], placed) error { return nil }
		count := func(t *saga.Turn[payment], e placed) error {
			t.State.Cents += e.Cents
			return nil
		}
		first, second := s.manage(t, 1, count), s.manage(t, 2, nothing)
		stop := run(t, newSet(t, log, brief(t), first))
		s.happen(t, log, "order-1", placed{"1", 1})
		indexed(t, log, saga.Filter{Saga: "steady"}, 1)
		stop()
		stop = run(t, newSet(t, log, brief(t), second))
		s.happen(t, log, "order-1", placed{"1", 10})
		s.happen(t, log, "order-1", paid{"1"})
		s.happen(t, log, "order-2", placed{"2", 1})
		s.happen(t, log, "order-2", paid{"2"})
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		if got := s.commands(); got != "ship 2" {
			t.Errorf("without version 1: sent %s", got)
		}
		stop()
		run(t, newSet(t, log, brief(t), first, second))
		s.happen(t, log, "order-1", placed{"1", 100})
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		d := detail(t, log, "steady", "1")
		if got := s.commands(); got != "ship 2, ship 1" || !strings.Contains(string(d.Data), `"cents":111`) || d.Status != saga.StatusWaiting {
			t.Errorf("sent %s; %s with %s: %s", got, d.Status, d.Data, story(d))
		}
	})
}

func TestMoreParkedInstancesThanThereIsRoomForGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		old := define(t, "versions", 1, saga.Step[order]{Name: "old", Action: l.does("old")})
		changed := define(t, "versions", 2, saga.Step[order]{Name: "new", Action: l.does("new")})
		starter := newSet(t, log, brief(t), old)
		for i := range 7 {
			start(t, starter, "versions", fmt.Sprint(i), order{})
		}
		stop := run(t, newSet(t, log, brief(t), changed))
		indexed(t, log, saga.Filter{Saga: "versions", Status: saga.StatusParked}, 7)
		stop()
		o := slow(t)
		o.Concurrency = 1
		run(t, newSet(t, log, o, old, changed))
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		indexed(t, log, saga.Filter{Saga: "versions", Status: saga.StatusCompleted}, 7)
	})
}

// blindOnce is a backend whose first scan of a status fails.
type blindOnce struct {
	store.Backend
	scans atomic.Int64
}

func (b *blindOnce) Scan(ctx context.Context, s store.Scan) iter.Seq2[store.Record, error] {
	if s.Bucket == "saga/status" && b.scans.Add(1) == 1 {
		return func(yield func(store.Record, error) bool) { yield(store.Record{}, store.ErrUnavailable) }
	}
	return b.Backend.Scan(ctx, s)
}

func TestParkedInstancesAreLookedForAgainAfterAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		under := memstore.New(memstore.Options{})
		defer func() { _ = under.Close() }()
		log := store.New(under, store.Options{})
		old := define(t, "versions", 1, saga.Step[order]{Name: "old", Action: l.does("old")})
		changed := define(t, "versions", 2, saga.Step[order]{Name: "new", Action: l.does("new")})
		o := slow(t)
		o.Partitions = 1
		start(t, newSet(t, log, o, old), "versions", "7", order{})
		stop := run(t, newSet(t, log, o, changed))
		indexed(t, log, saga.Filter{Saga: "versions", Status: saga.StatusParked}, 1)
		stop()
		run(t, newSet(t, store.New(&blindOnce{Backend: under}, store.Options{}), o, old, changed))
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		if d := detail(t, log, "versions", "7"); d.Status != saga.StatusCompleted {
			t.Errorf("it is %s: %s", d.Status, story(d))
		}
	})
}

func TestWhatCannotBeStoredFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		huge := func(ctx context.Context, o *order) error {
			o.Tracking = strings.Repeat("x", 2<<20)
			return l.book(ctx, "huge")
		}
		set := newSet(t, log, brief(t),
			define(t, "huge", 1, saga.Step[order]{Name: "a", Action: l.does("a"), Compensation: l.does("undo a")},
				saga.Step[order]{Name: "b", Action: huge, Compensation: l.does("undo b")}),
			define(t, "hugeundo", 1, saga.Step[order]{Name: "a", Action: l.does("a"), Compensation: huge},
				saga.Step[order]{Name: "b", Action: func(context.Context, *order) error {
					return saga.Permanent(fmt.Errorf("%s", strings.Repeat("long ", 1<<20)))
				}}),
			define(t, "round", 1, saga.Step[order]{
				Name: "a", When: func(order) bool { return false }, Action: l.does("a"),
				Next: []saga.Jump[order]{{To: "a", When: func(order) bool { return true }}},
			}),
		)
		run(t, set)
		for name, want := range map[string]struct {
			status saga.Status
			reason string
		}{
			"huge":     {saga.StatusCompensated, "step b: what came of it cannot be stored: "},
			"hugeundo": {saga.StatusCompensationFailed, "compensation of step a: what came of it cannot be stored: "},
			"round":    {saga.StatusFailed, ""},
		} {
			start(t, set, name, "7", order{})
			if d := settled(t, log, name, "7", want.status); !strings.Contains(d.Error, want.reason) || d.Error == "" || len(d.Error) > 10_000 {
				t.Errorf("%s: %d bytes: %.200s", name, len(d.Error), d.Error)
			}
		}
		if got := l.count("undo b"); got != 1 {
			t.Errorf("the work whose outcome was too large was undone %d times: %s", got, l.list())
		}
	})
}

func TestBranchesKeepEachOthersChangesWhateverTheStartWasWrittenIn(t *testing.T) {
	type parcel struct {
		Inner struct{ B, A int }
		X, Y  int
	}
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		started := make(chan struct{}, 2)
		both := make(chan struct{})
		branch := func(change func(*parcel)) saga.Action[parcel] {
			return func(_ context.Context, p *parcel) error {
				started <- struct{}{}
				<-both
				change(p)
				return nil
			}
		}
		d, err := saga.Define("parcels", 1, saga.Step[parcel]{Name: "both", Parallel: []saga.Step[parcel]{
			{Name: "x", Action: branch(func(p *parcel) { p.X = 1; p.Inner.A = 5 })},
			{Name: "y", Action: branch(func(p *parcel) { p.Y = 2 })},
		}})
		if err != nil {
			t.Fatal(err)
		}
		set := newSet(t, log, brief(t), d)
		run(t, set)
		start(t, set, "parcels", "7", json.RawMessage(`{"Inner": {"A": 1, "B": 2}, "unknown": true}`))
		<-started
		<-started
		close(both)
		got := settled(t, log, "parcels", "7", saga.StatusCompleted)
		var p parcel
		if err := json.Unmarshal(got.Data, &p); err != nil || p.X != 1 || p.Y != 2 || p.Inner.A != 5 || p.Inner.B != 2 || !strings.Contains(string(got.Data), `"unknown":true`) {
			t.Errorf("the data is %s: %v", got.Data, err)
		}
	})
}

func TestAnAttemptThatAnotherHasTakenOverIsLetGoOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		begun := make(chan context.Context, 2)
		var calls atomic.Int32 // the attempt that is let go of may still run
		d := define(t, "taken", 1, saga.Step[order]{Name: "a", Action: func(ctx context.Context, _ *order) error {
			begun <- ctx
			if calls.Add(1) > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		o := brief(t)
		o.Timeout = time.Hour
		set := newSet(t, log, o, d)
		run(t, set)
		start(t, set, "taken", "7", order{})
		first := <-begun
		// Another worker believes that the instance is his, and says that he tries.
		other, err := saga.NewTrial(t.Context(), log, o, d)
		if err != nil {
			t.Fatal(err)
		}
		if attempts, err := other.Look("taken", "7"); err != nil || len(attempts) != 1 {
			t.Fatal(attempts, err)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble; much less than the timeout
		if first.Err() == nil {
			t.Error("the attempt whose outcome is void goes on")
		}
		if d := detail(t, log, "taken", "7"); d.Status != saga.StatusCompleted || calls.Load() != 2 {
			t.Errorf("after %d calls it is %s: %s", calls.Load(), d.Status, story(d))
		}
	})
}

func TestTheReasonOutlivesASuspension(t *testing.T) {
	trial, err := saga.NewTrial(t.Context(), memory(t), saga.Options{NoCompensation: true}, define(t, "one", 1,
		saga.Step[order]{Name: "a", Action: func(context.Context, *order) error { return saga.Permanent(errSupplier) }}))
	if err != nil {
		t.Fatal(err)
	}
	if err := trial.Start("one", "7", order{}, saga.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	attempts, err := trial.Look("one", "7")
	if err != nil || len(attempts) != 1 {
		t.Fatal(attempts, err)
	}
	if err := attempts[0].Answer(); err != nil {
		t.Fatal(err)
	}
	c := trial.Control()
	for _, err := range []error{
		c.Suspend(t.Context(), "one", "7", "ann", "audit"), c.Resume(t.Context(), "one", "7", "ann"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := c.Get(t.Context(), "one", "7")
	if err != nil || d.Status != saga.StatusFailed || !strings.Contains(d.Error, "step a: the supplier") {
		t.Errorf("it is %s since %q: %v", d.Status, d.Error, err)
	}
	if _, ids, err := trial.Happen("one", "order-1", event.Recorded{}); err == nil {
		t.Errorf("an event for what is no process manager reached %v", ids)
	}
}
