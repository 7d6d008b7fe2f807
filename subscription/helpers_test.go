package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/subscription"
)

// quick are options under which tests do not wait long where time is real.
func quick(t *testing.T) subscription.Options {
	return subscription.Options{
		PollInterval: 20 * time.Millisecond, CheckpointInterval: 20 * time.Millisecond, Lease: 600 * time.Millisecond,
		Retry:   subscription.Retry{Attempts: 2, Initial: time.Millisecond, Max: time.Millisecond},
		OnError: func(err error) { t.Log(err) },
	}
}

func memory(t *testing.T) *store.Store {
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newSubscription(t *testing.T, s *store.Store, name string, p subscription.Processor, o subscription.Options) *subscription.Subscription {
	t.Helper()
	sub, err := subscription.New(s, name, p, o)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// member is a running subscription.
type member struct {
	*subscription.Subscription
	stop func()
	done chan struct{}
	err  error
}

// start runs a subscription until the test ends or it is stopped.
func start(t *testing.T, sub *subscription.Subscription) *member {
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{Subscription: sub, stop: cancel, done: make(chan struct{})}
	go func() {
		m.err = sub.Run(ctx)
		close(m.done)
	}()
	t.Cleanup(func() { m.stop(); <-m.done })
	return m
}

// end stops it and gives what Run returned.
func (m *member) end() error {
	m.stop()
	return m.wait()
}

func (m *member) wait() error {
	<-m.done
	return m.err
}

func appendTo(t *testing.T, s *store.Store, stream event.StreamID, types ...string) event.Position {
	t.Helper()
	events := make([]event.Pending, len(types))
	for i, name := range types {
		events[i] = event.Pending{Type: name, Data: []byte(`{}`)}
	}
	res, err := s.Append(context.Background(), stream, store.Any(), events...)
	if err != nil {
		t.Fatal(err)
	}
	return res.Last
}

// within gives a context for what must happen.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func mustReach(t *testing.T, sub *subscription.Subscription, position event.Position) {
	t.Helper()
	if err := sub.WaitFor(within(t), position); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, s *store.Store, name string) subscription.Status {
	t.Helper()
	status, err := subscription.NewControl(s).Status(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// eventually waits in real time until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// journal notes what was handled. It is safe for concurrent use.
type journal struct {
	mu     sync.Mutex
	events []event.Recorded
	fail   func(e event.Recorded) error // nil: never
}

func (j *journal) Handle(_ context.Context, e event.Recorded) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		if err := j.fail(e); err != nil {
			return err
		}
	}
	j.events = append(j.events, e)
	return nil
}

func (j *journal) types() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := ""
	for _, e := range j.events {
		text += e.Type + " "
	}
	return text
}

func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.events)
}

// expectEach fails unless each position from 1 to n was handled exactly once, and each stream in its order.
func (j *journal) expectEach(t *testing.T, n int) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := map[event.Position]int{}
	versions := map[event.StreamID]event.Version{}
	for _, e := range j.events {
		seen[e.Position]++
		if e.Version <= versions[e.Stream] {
			t.Errorf("version %d of stream %s came after version %d", e.Version, e.Stream, versions[e.Stream])
		}
		versions[e.Stream] = e.Version
	}
	for p := event.Position(1); int(p) <= n; p++ {
		if seen[p] != 1 {
			t.Errorf("position %d was handled %d times", p, seen[p])
		}
	}
	if len(seen) != n {
		t.Errorf("%d positions were handled, want %d", len(seen), n)
	}
}

// faulty is a backend whose calls can be made to fail. It has no wake-up.
type faulty struct {
	store.Backend

	mu     sync.Mutex
	before func(ctx context.Context, call string) error // nil: works
	after  func(ops []store.Op) error                   // after an Apply that was done; nil: tells so
}

func (f *faulty) set(before func(ctx context.Context, call string) error, after func(ops []store.Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faulty) check(ctx context.Context, call string) error {
	f.mu.Lock()
	before := f.before
	f.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, call)
}

func (f *faulty) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	if err := f.check(ctx, "apply "+ops[0].Bucket); err != nil {
		return nil, err
	}
	revisions, err := f.Backend.Apply(ctx, ops)
	f.mu.Lock()
	after := f.after
	f.mu.Unlock()
	if err == nil && after != nil {
		if err = after(ops); err != nil {
			return nil, err
		}
	}
	return revisions, err
}

func (f *faulty) Get(ctx context.Context, bucket, key string) (store.Record, error) {
	if err := f.check(ctx, "get "+bucket); err != nil {
		return store.Record{}, err
	}
	return f.Backend.Get(ctx, bucket, key)
}

func (f *faulty) Head(ctx context.Context) (event.Position, error) {
	if err := f.check(ctx, "head"); err != nil {
		return 0, err
	}
	return f.Backend.Head(ctx)
}

func (f *faulty) ReadLog(ctx context.Context, r store.LogRead) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		if err := f.check(ctx, "read"); err != nil {
			yield(event.Recorded{}, err)
			return
		}
		f.Backend.ReadLog(ctx, r)(yield)
	}
}

func (f *faulty) Scan(ctx context.Context, r store.Scan) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := f.check(ctx, "scan "+r.Bucket); err != nil {
			yield(store.Record{}, err)
			return
		}
		f.Backend.Scan(ctx, r)(yield)
	}
}

// down fails all calls, as a server that is gone or a process that is cut off.
func down(context.Context, string) error { return errDown }

var (
	errDown  = fmt.Errorf("%w: the test says so", store.ErrUnavailable)
	errNever = errors.New("never")
)
