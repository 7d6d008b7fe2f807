package schedule_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schedule"
	"lexigram.dev/events/schedule/cron"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// reminded is an event, remind a command.
type reminded struct {
	Who string `json:"who"`
}

type remind struct {
	Who string `json:"who"`
}

func registry(t testing.TB) *schema.Registry {
	t.Helper()
	r := schema.NewRegistry()
	if err := schema.Register[reminded](r, "reminder.sent", schema.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := schema.Register[remind](r, "remind", schema.Options{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// calls are the commands that a handler got.
type calls struct {
	mu   sync.Mutex
	all  []call
	keys map[event.ID]int
}

type call struct {
	who  string
	at   time.Time
	info schedule.Info
	meta event.Metadata
}

// take notes a call, and gives the outcome of do.
func (c *calls) bus(t testing.TB, do func(ctx context.Context, r remind) error) *command.Bus {
	t.Helper()
	b := command.NewBus(command.Options{})
	err := command.Handle(b, func(ctx context.Context, r remind) (command.None, error) {
		info, ok := schedule.InfoFrom(ctx)
		if !ok {
			t.Error("there is no Info")
		}
		c.mu.Lock()
		c.all = append(c.all, call{r.Who, time.Now(), info, event.MetadataFrom(ctx)})
		if c.keys == nil {
			c.keys = map[event.ID]int{}
		}
		c.keys[info.Key]++
		c.mu.Unlock()
		if do == nil {
			return command.None{}, nil
		}
		return command.None{}, do(ctx, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *calls) list() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// options are complete, and look at the store seldom: for tests in which years pass.
func options(t testing.TB, c *calls, do func(ctx context.Context, r remind) error) schedule.Options {
	return schedule.Options{
		Schema: registry(t), Commands: c.bus(t, do), Cron: cron.Parse, Lease: 24 * time.Hour, PollInterval: 8 * time.Hour,
		OnError: func(err error) { t.Log(err) },
	}
}

// brief are options for real time.
func brief(t testing.TB, c *calls, do func(ctx context.Context, r remind) error) schedule.Options {
	o := options(t, c, do)
	o.Lease, o.PollInterval, o.Grace = 2*time.Second, 50*time.Millisecond, time.Second
	o.InitialPause, o.MaxPause = 10*time.Millisecond, 50*time.Millisecond
	o.OnError = func(error) {}
	return o
}

func memory(t testing.TB) *store.Store {
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newScheduler(t testing.TB, s *store.Store, o schedule.Options) *schedule.Scheduler {
	t.Helper()
	scheduler, err := schedule.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return scheduler
}

// run runs a scheduler until stop is called or the test ends.
func run(t testing.TB, s *schedule.Scheduler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	return stop
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stored gives the events of a stream.
func stored(t testing.TB, s *store.Store, stream event.StreamID) []event.Recorded {
	t.Helper()
	var all []event.Recorded
	for e, err := range s.ReadStream(context.Background(), store.StreamRead{Stream: stream}) {
		must(t, err)
		all = append(all, e)
	}
	return all
}

func list(t testing.TB, c *schedule.Control, f schedule.Filter) []schedule.Pending {
	t.Helper()
	var all []schedule.Pending
	for p, err := range c.List(context.Background(), f) {
		must(t, err)
		all = append(all, p)
	}
	return all
}

// empty waits until nothing is pending.
func empty(t testing.TB, c *schedule.Control) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		left := list(t, c, schedule.Filter{Limit: 3})
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still pending: %+v", left)
		}
	}
}

// records counts the records of the package.
func records(t testing.TB, s *store.Store) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, bucket := range []string{"schedule/agenda", "schedule/ids"} {
		for _, err := range s.Scan(context.Background(), store.Scan{Bucket: bucket}) {
			must(t, err)
			n[bucket]++
		}
	}
	return n
}

func number(i int) string { return fmt.Sprintf("n%04d", i) }
