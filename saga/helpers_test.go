package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// order is the data of the sagas in these tests.
type order struct {
	Item     string   `json:"item"`
	Reserved string   `json:"reserved,omitempty"`
	Charged  int      `json:"charged,omitempty"`
	Tracking string   `json:"tracking,omitempty"`
	Notified bool     `json:"notified,omitempty"`
	Path     []string `json:"path,omitempty"`
}

// ledger is the world outside: it counts effects by their keys.
type ledger struct {
	mu      sync.Mutex
	effects map[event.ID]string // what was done under each key
	calls   map[string]int      // by what
	order   []string            // effects as they happened first
}

func newLedger() *ledger { return &ledger{effects: map[event.ID]string{}, calls: map[string]int{}} }

// book does something, once for each key.
func (l *ledger) book(ctx context.Context, what string) error {
	info, ok := saga.InfoFrom(ctx)
	if !ok {
		return errors.New("there is no key")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[what]++
	if done, known := l.effects[info.Key]; known && done != what {
		return fmt.Errorf("key %s is used for %s and for %s", info.Key, done, what)
	} else if !known {
		l.effects[info.Key] = what
		l.order = append(l.order, what)
	}
	return nil
}

// count tells how often something has taken effect.
func (l *ledger) count(what string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, done := range l.effects {
		if done == what {
			n++
		}
	}
	return n
}

// list gives all effects, in order.
func (l *ledger) list() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.order, " ")
}

// counts lists how often each thing has taken effect, by name.
func (l *ledger) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for _, what := range l.effects {
		n[what]++
	}
	return n
}

// does makes an action that books its name.
func (l *ledger) does(what string) saga.Action[order] {
	return func(ctx context.Context, o *order) error {
		if err := l.book(ctx, what); err != nil {
			return err
		}
		o.Path = append(o.Path, what)
		return nil
	}
}

var errSupplier = errors.New("the supplier does not answer")

// fails makes an action that does nothing and fails.
func fails(context.Context, *order) error { return errSupplier }

// brief are options under which nothing is waited for long.
func brief(t testing.TB) saga.Options {
	return saga.Options{
		Retry:             saga.Retry{Attempts: 3, Initial: 10 * time.Millisecond, Max: 50 * time.Millisecond},
		CompensationRetry: saga.Retry{Attempts: 3, Initial: 10 * time.Millisecond, Max: 50 * time.Millisecond},
		Timeout:           5 * time.Second, Partitions: 2, Lease: 2 * time.Second, PollInterval: 200 * time.Millisecond, Grace: time.Second,
		OnError: func(err error) { t.Log(err) },
	}
}

// slow is brief for tests in which hours pass: it looks at the store less often.
func slow(t testing.TB) saga.Options {
	o := brief(t)
	o.Lease, o.PollInterval = time.Hour, time.Hour
	return o
}

func memory(t testing.TB) *store.Store {
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func define(t testing.TB, name string, version int, steps ...saga.Step[order]) *saga.Definition[order] {
	t.Helper()
	d, err := saga.Define(name, version, steps...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newSet(t testing.TB, log *store.Store, o saga.Options, definitions ...saga.Definer) *saga.Set {
	t.Helper()
	set, err := saga.NewSet(log, o, definitions...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// run runs a set until stop is called or the test ends.
func run(t testing.TB, set *saga.Set) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := set.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	return stop
}

func start(t testing.TB, set *saga.Set, name, id string, data any) {
	t.Helper()
	if err := set.Start(context.Background(), name, id, data, saga.StartOptions{}); err != nil {
		t.Fatal(err)
	}
}

func detail(t testing.TB, log *store.Store, name, id string) saga.Detail {
	t.Helper()
	d, err := saga.NewControl(log, saga.ControlOptions{}).Get(context.Background(), name, id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// settled waits until an instance has one of the statuses.
func settled(t testing.TB, log *store.Store, name, id string, statuses ...saga.Status) saga.Detail {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		d := detail(t, log, name, id)
		if slices.Contains(statuses, d.Status) {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s/%s is %s (%s), want %v; history: %s", name, id, d.Status, d.Error, statuses, story(d))
		}
	}
}

// indexed waits until the index says something.
func indexed(t testing.TB, log *store.Store, f saga.Filter, want int) []saga.Instance {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		var found []saga.Instance
		for i, err := range saga.NewControl(log, saga.ControlOptions{}).List(context.Background(), f) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, i)
		}
		if len(found) == want {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("the index has %d of %+v, want %d: %+v", len(found), f, want, found)
		}
	}
}

// story is a history on one line.
func story(d saga.Detail) string {
	var b strings.Builder
	for _, m := range d.History {
		fmt.Fprintf(&b, "%s", m.What)
		if m.Step != "" {
			fmt.Fprintf(&b, ":%s", m.Step)
		}
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}

// indexOf gives all records of the index of a saga.
func indexOf(t testing.TB, log *store.Store, name string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, bucket := range []string{"saga/instances", "saga/status", "saga/correlation", "saga/agenda"} {
		for r, err := range log.Scan(context.Background(), store.Prefix(bucket, name+"/")) {
			if err != nil {
				t.Fatal(err)
			}
			all[bucket+" "+r.Key] = string(r.Value)
		}
	}
	return all
}
