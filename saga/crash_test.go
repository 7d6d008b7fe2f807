package saga_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// mortal is a backend as a process sees it that dies at one of its writes: from then on nothing it does has an effect.
type mortal struct {
	store.Backend
	mu    sync.Mutex
	left  int  // writes before the last one; negative: it lives for ever
	last  bool // the last write takes effect, but its answer is lost
	dead  chan struct{}
	total int
}

var errDead = fmt.Errorf("%w: the process is dead", store.ErrUnavailable)

// write does a write, unless the process is dead.
func (m *mortal) write(do func() error) error {
	m.mu.Lock()
	select {
	case <-m.dead:
		m.mu.Unlock()
		return errDead
	default:
	}
	m.total++
	if m.left != 0 {
		m.left--
		m.mu.Unlock()
		return do()
	}
	close(m.dead)
	if m.last {
		_ = do()
	}
	m.mu.Unlock()
	return errDead
}

func (m *mortal) Append(ctx context.Context, c store.Commit) (res store.Result, err error) {
	err = m.write(func() error {
		res, err = m.Backend.Append(ctx, c)
		return err
	})
	return res, err
}

func (m *mortal) Apply(ctx context.Context, ops []store.Op) (revisions []store.Revision, err error) {
	err = m.write(func() error {
		revisions, err = m.Backend.Apply(ctx, ops)
		return err
	})
	return revisions, err
}

// life is one process that runs a set until it dies, or is done.
func life(t *testing.T, b *mortal, o saga.Options, definitions func(alive func() bool) []saga.Definer) (set *saga.Set, stop func()) {
	alive := func() bool { return !isDone(b.dead) }
	log := store.New(b, store.Options{})
	o.OnError = func(error) {}
	set, err := saga.NewSet(log, o, definitions(alive)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = set.Run(ctx)
	}()
	return set, func() { cancel(); <-done }
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestACrashAtAnyWriteLosesAndDoublesNothing runs a saga whose process dies at its n-th write, for each n, with the write
// done and with it undone, and lets another process go on.
func TestACrashAtAnyWriteLosesAndDoublesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		actions map[string]saga.Action[order]
		status  saga.Status
		effects map[string]int
	}{
		"completed":   {nil, saga.StatusCompleted, map[string]int{"reserve": 1, "charge": 1, "ship": 1, "notify": 1, "confirm": 1}},
		"compensated": {map[string]saga.Action[order]{"confirm": fails}, saga.StatusCompensated, map[string]int{"reserve": 1, "charge": 1, "ship": 1, "notify": 1, "recall": 1, "refund": 1, "release": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, last := range []bool{false, true} {
				writes := 0
				for n := 0; ; n++ {
					finished := false
					synctest.Test(t, func(t *testing.T) {
						finished = crashAt(t, n, last, c.actions, c.status, c.effects)
					})
					if finished || t.Failed() {
						break
					}
					writes++
				}
				if t.Logf("%d crash points", writes); writes < 10 {
					t.Errorf("only %d writes were tried: does the process die at all?", writes)
				}
			}
		})
	}
}

// crashAt gives true when the process was done before its n-th write.
func crashAt(t *testing.T, n int, last bool, actions map[string]saga.Action[order], status saga.Status, effects map[string]int) bool {
	under := memstore.New(memstore.Options{})
	defer func() { _ = under.Close() }()
	l := newLedger()
	definitions := func(alive func() bool) []saga.Definer {
		steps := broken(l, actions)
		dying := func(a saga.Action[order]) saga.Action[order] {
			if a == nil {
				return nil
			}
			return func(ctx context.Context, o *order) error {
				if !alive() {
					return errDead // a dead process does nothing in the world outside
				}
				return a(ctx, o)
			}
		}
		for i := range steps {
			steps[i].Action, steps[i].Compensation = dying(steps[i].Action), dying(steps[i].Compensation)
			for j := range steps[i].Parallel {
				s := &steps[i].Parallel[j]
				s.Action, s.Compensation = dying(s.Action), dying(s.Compensation)
			}
		}
		return []saga.Definer{define(t, "fulfilment", 1, steps...)}
	}
	o := brief(t)
	o.Partitions = 1

	begin := store.New(under, store.Options{})
	starter := newSet(t, begin, o, definitions(func() bool { return false })...)
	if err := starter.Start(t.Context(), "fulfilment", "7", order{Item: "cup"}, saga.StartOptions{Correlation: "c"}); err != nil {
		t.Fatal(err)
	}
	first := &mortal{Backend: under, left: n, last: last, dead: make(chan struct{})}
	_, stop := life(t, first, o, definitions)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			if d, err := saga.NewControl(begin, saga.ControlOptions{}).Get(t.Context(), "fulfilment", "7"); err == nil && d.Status == status {
				tick.Stop()
				return
			}
			if isDone(first.dead) {
				tick.Stop()
				return
			}
		}
	}()
	<-finished
	survived := !isDone(first.dead)
	stop()

	second := &mortal{Backend: under, left: -1, dead: make(chan struct{})}
	_, stop = life(t, second, o, definitions)
	defer stop()
	d := settled(t, begin, "fulfilment", "7", status)
	if got := l.counts(); !maps.Equal(got, effects) {
		t.Errorf("write %d (done: %v): effects %v, want %v; history: %s", n, last, got, effects, story(d))
	}
	indexed(t, begin, saga.Filter{Saga: "fulfilment", Status: status}, 1)
	checkIndex(t, begin, "fulfilment", d, 1)
	return survived
}

// checkIndex compares the index of the only instance with what its stream says.
func checkIndex(t *testing.T, log *store.Store, name string, d saga.Detail, partitions int) {
	t.Helper()
	want := map[string]bool{
		fmt.Sprintf("saga/instances %s/%016d/%s", name, d.StartedAt.UnixMicro(), d.ID):                        true,
		fmt.Sprintf("saga/status %s/%s/%016d/%s", name, d.Status, d.StartedAt.UnixMicro(), d.ID):              true,
		fmt.Sprintf("saga/correlation %s/%s/%016d/%s", name, d.Correlation, d.StartedAt.UnixMicro(), d.ID):    true,
		fmt.Sprintf("saga/agenda %s/%05d/%016d/%s", name, 0, d.ChangedAt.Add(24*time.Hour).UnixMicro(), d.ID): true,
	}
	if got := indexOf(t, log, name); len(got) != len(want) || len(got) == 0 {
		t.Errorf("the index of %d partitions has %d records: %v, want %v", partitions, len(got), got, want)
	} else {
		for key := range got {
			if !want[key] {
				t.Errorf("the index has %s; want %v", key, want)
			}
		}
	}
}

// TestNoInstanceRunsOnTwoWorkers lets a process lose its lease while an action runs. What it says then is void.
func TestNoInstanceRunsOnTwoWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := memstore.New(memstore.Options{})
		defer func() { _ = under.Close() }()
		log := store.New(under, store.Options{})
		l := newLedger()
		var calls []event.ID
		entered, hold := make(chan struct{}, 1), make(chan struct{})
		definitions := func(wait bool) []saga.Definer {
			return []saga.Definer{define(t, "one", 1, saga.Step[order]{Name: "a", Action: func(ctx context.Context, o *order) error {
				info, _ := saga.InfoFrom(ctx)
				calls = append(calls, info.Key)
				if wait {
					entered <- struct{}{}
					<-hold // it does not hear that it should stop
					o.Item = "void"
				}
				return l.book(ctx, "a")
			}})}
		}
		first := &mortal{Backend: under, left: -1, dead: make(chan struct{})}
		set, stop := life(t, first, brief(t), func(func() bool) []saga.Definer { return definitions(true) })
		start(t, set, "one", "7", order{})
		<-entered         // at once, or when the log is looked at next: a mortal store has no wake-ups
		close(first.dead) // its writes, renewals of its lease among them, do not get through any more
		begun := time.Now()
		second := &mortal{Backend: under, left: -1, dead: make(chan struct{})}
		_, stopSecond := life(t, second, brief(t), func(func() bool) []saga.Definer { return definitions(false) })
		d := settled(t, log, "one", "7", saga.StatusCompleted)
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("the other process has taken over after %v, the lease is 2 s", took)
		}
		close(hold)
		stop()
		stopSecond()
		after := detail(t, log, "one", "7")
		if len(calls) != 2 || calls[0] != calls[1] || l.count("a") != 1 || len(after.History) != len(d.History) || string(after.Data) != `{"item":""}` {
			t.Errorf("%d calls, %d effects, data %s, history: %s", len(calls), l.count("a"), after.Data, story(after))
		}
	})
}

// Truncate implements store.Truncator.
func (m *mortal) Truncate(ctx context.Context, stream event.StreamID, before event.Version) (n int64, err error) {
	err = m.write(func() error {
		n, err = m.Backend.(store.Truncator).Truncate(ctx, stream, before)
		return err
	})
	return n, err
}

// Delete implements store.Truncator.
func (m *mortal) Delete(ctx context.Context, stream event.StreamID, expected store.Expected) (res store.Result, err error) {
	err = m.write(func() error {
		res, err = m.Backend.(store.Truncator).Delete(ctx, stream, expected)
		return err
	})
	return res, err
}

// TestACrashAtTheEndOfTheRetentionLeavesNothingBehind lets the process die at each of the writes that remove an instance.
func TestACrashAtTheEndOfTheRetentionLeavesNothingBehind(t *testing.T) {
	for _, last := range []bool{false, true} {
		for n := range 25 {
			synctest.Test(t, func(t *testing.T) {
				under := memstore.New(memstore.Options{})
				defer func() { _ = under.Close() }()
				log := store.New(under, store.Options{})
				l := newLedger()
				definitions := func(func() bool) []saga.Definer {
					return []saga.Definer{define(t, "short", 1, saga.Step[order]{Name: "a", Action: l.does("a")})}
				}
				o := slow(t)
				o.Retention = time.Minute
				start(t, newSet(t, log, o, definitions(nil)...), "short", "7", order{})
				first := &mortal{Backend: under, left: n, last: last, dead: make(chan struct{})}
				_, stop := life(t, first, o, definitions)
				time.Sleep(5 * time.Minute) //nolint:forbidigo // in a bubble
				stop()
				second := &mortal{Backend: under, left: -1, dead: make(chan struct{})}
				set, stop := life(t, second, o, definitions)
				time.Sleep(5 * time.Hour) //nolint:forbidigo // in a bubble, until the lease of the dead one is over
				stop()
				if left := indexOf(t, log, "short"); len(left) > 0 {
					t.Errorf("write %d (done: %v): the index has %v", n, last, left)
				}
				if _, err := set.Control().Get(t.Context(), "short", "7"); !errors.Is(err, saga.ErrUnknown) {
					t.Errorf("write %d (done: %v): it is still there: %v", n, last, err)
				}
				events := 0
				for range log.ReadStream(t.Context(), store.StreamRead{Stream: "saga_short-7"}) {
					events++
				}
				if events != 1 {
					t.Errorf("write %d (done: %v): its stream has %d events, want the tombstone only", n, last, events)
				}
			})
			if t.Failed() {
				return
			}
		}
	}
}

// TestAnInstanceThatADyingWorkerHasParkedGoesOn lets a worker without the definition die at each of its writes, the parking
// among them, and one with the definition take over.
func TestAnInstanceThatADyingWorkerHasParkedGoesOn(t *testing.T) {
	for _, last := range []bool{false, true} {
		for n := range 12 {
			synctest.Test(t, func(t *testing.T) {
				under := memstore.New(memstore.Options{})
				defer func() { _ = under.Close() }()
				log := store.New(under, store.Options{})
				l := newLedger()
				old := define(t, "versions", 1, saga.Step[order]{Name: "old", Action: l.does("old")})
				changed := define(t, "versions", 2, saga.Step[order]{Name: "new", Action: l.does("new")})
				start(t, newSet(t, log, slow(t), old), "versions", "7", order{})
				first := &mortal{Backend: under, left: n, last: last, dead: make(chan struct{})}
				_, stop := life(t, first, slow(t), func(func() bool) []saga.Definer { return []saga.Definer{changed} })
				time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
				stop()
				second := &mortal{Backend: under, left: -1, dead: make(chan struct{})}
				_, stop = life(t, second, slow(t), func(func() bool) []saga.Definer { return []saga.Definer{old, changed} })
				defer stop()
				time.Sleep(5 * time.Hour) //nolint:forbidigo // in a bubble, until the lease of the dead one is over
				if d := detail(t, log, "versions", "7"); d.Status != saga.StatusCompleted || l.list() != "old" {
					t.Errorf("write %d (done: %v): %s, effects %s: %s", n, last, d.Status, l.list(), story(d))
				}
			})
			if t.Failed() {
				return
			}
		}
	}
}
