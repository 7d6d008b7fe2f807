package saga_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type (
	placed struct {
		Order string `json:"order"`
		Cents int    `json:"cents"`
	}
	paid    struct{ Order string }
	shipped struct{ Order string }

	remind struct{ Order string }
	ship   struct{ Order string }
	cancel struct{ Order string }
)

// payment is what the process manager of these tests carries.
type payment struct {
	Cents     int `json:"cents"`
	Reminders int `json:"reminders"`
}

// shop is what the process manager works with.
type shop struct {
	registry *schema.Registry
	bus      *command.Bus
	fail     func(string) error // of a command

	mu   sync.Mutex
	sent []string            // commands, by their first arrival
	keys map[event.ID]string // the effects
}

func newShop(t testing.TB) *shop {
	s := &shop{registry: schema.NewRegistry(), bus: command.NewBus(command.Options{}), keys: map[event.ID]string{}, fail: func(string) error { return nil }}
	handle := func(ctx context.Context, what, order string) (command.None, error) {
		info, _ := saga.InfoFrom(ctx)
		what += " " + order
		if err := s.fail(what); err != nil {
			return command.None{}, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, known := s.keys[info.Key]; !known {
			s.keys[info.Key] = what
			s.sent = append(s.sent, what)
		}
		return command.None{}, nil
	}
	err := errors.Join(
		schema.Register[placed](s.registry, "order.placed", schema.Options{}),
		schema.Register[*paid](s.registry, "order.paid", schema.Options{}),
		schema.Register[shipped](s.registry, "order.shipped", schema.Options{}),
		schema.Register[remind](s.registry, "remind", schema.Options{}),
		schema.Register[ship](s.registry, "ship", schema.Options{}),
		schema.Register[cancel](s.registry, "cancel", schema.Options{}),
		command.Handle(s.bus, func(ctx context.Context, c remind) (command.None, error) { return handle(ctx, "remind", c.Order) }),
		command.Handle(s.bus, func(ctx context.Context, c ship) (command.None, error) { return handle(ctx, "ship", c.Order) }),
		command.Handle(s.bus, func(ctx context.Context, c cancel) (command.None, error) { return handle(ctx, "cancel", c.Order) }),
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// commands lists those that have taken effect, in order.
func (s *shop) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.sent, ", ")
}

// manager waits for the payment of an order, reminds twice, and then gives up.
func (s *shop) manager(t testing.TB) *saga.Manager[payment] {
	t.Helper()
	m, err := saga.Manage("payment", 1, s.registry, s.bus,
		saga.Starts(func(e placed) string { return e.Order }, func(t *saga.Turn[payment], e placed) error {
			t.State.Cents = e.Cents
			t.SetTimer("unpaid", 24*time.Hour)
			return nil
		}),
		saga.OnEarly(func(e paid) string { return e.Order }, func(t *saga.Turn[payment], _ paid) error {
			t.CancelTimer("unpaid")
			t.Send(ship{t.ID})
			return nil
		}),
		saga.On(func(e shipped) string { return e.Order }, func(t *saga.Turn[payment], _ shipped) error {
			t.Complete()
			return nil
		}),
		saga.OnTimeout("unpaid", func(t *saga.Turn[payment]) error {
			if t.State.Reminders == 2 {
				t.Send(cancel{t.ID})
				t.Complete()
				return nil
			}
			t.State.Reminders++
			t.Send(remind{t.ID})
			t.SetTimer("unpaid", 24*time.Hour)
			return nil
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *shop) happen(t testing.TB, log *store.Store, stream event.StreamID, e any) {
	t.Helper()
	p, err := s.registry.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(context.Background(), stream, store.Any(), p); err != nil {
		t.Fatal(err)
	}
}

func TestAProcessManagerReactsToEventsAndTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newShop(t), memory(t)
		run(t, newSet(t, log, slow(t), s.manager(t)))
		s.happen(t, log, "order-1", placed{"1", 100})
		s.happen(t, log, "order-2", placed{"2", 200})
		s.happen(t, log, "order-1", paid{"1"})
		time.Sleep(time.Hour) //nolint:forbidigo // in a bubble
		if got := s.commands(); got != "ship 1" {
			t.Errorf("sent: %s", got)
		}
		s.happen(t, log, "order-1", shipped{"1"})
		settled(t, log, "payment", "1", saga.StatusCompleted)
		s.happen(t, log, "order-1", paid{"1"}) // after the end
		time.Sleep(80 * time.Hour)             //nolint:forbidigo // in a bubble
		if got := s.commands(); got != "ship 1, remind 2, remind 2, cancel 2" {
			t.Errorf("sent: %s", got)
		}
		if d := detail(t, log, "payment", "2"); d.Status != saga.StatusCompleted || string(d.Data) != `{"cents":200,"reminders":2}` {
			t.Errorf("%s: %s; %s", d.Status, d.Data, story(d))
		}
		if _, err := saga.NewControl(log, saga.ControlOptions{}).Get(t.Context(), "payment", "1"); !errors.Is(err, saga.ErrUnknown) {
			t.Errorf("after its retention the first one is still there: %v", err)
		}
	})
}

func TestEventsThatComeTooEarlyOrAgainAreHandledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newShop(t), memory(t)
		stop := run(t, newSet(t, log, brief(t), s.manager(t)))
		s.happen(t, log, "bank-7", paid{"7"})
		s.happen(t, log, "stock-7", shipped{"7"}) // early too, but not to be kept
		indexed(t, log, saga.Filter{Saga: "payment", Status: saga.StatusWaiting}, 1)
		s.happen(t, log, "order-7", placed{"7", 100})
		time.Sleep(time.Second) //nolint:forbidigo // in a bubble
		stop()
		if d := detail(t, log, "payment", "7"); story(d) != "event_kept:order.paid started reacted:order.placed timer_set:unpaid reacted:order.paid timer_cancelled:unpaid command_requested:ship attempted:ship command_confirmed:ship" {
			t.Errorf("history: %s", story(d))
		}
		before := len(detail(t, log, "payment", "7").History)
		// All events are brought again, as after a crash before the checkpoint.
		if _, err := log.Apply(t.Context(), store.Delete("subscription/checkpoints", "events of saga payment/00000")); err != nil {
			t.Fatal(err)
		}
		run(t, newSet(t, log, brief(t), s.manager(t)))
		time.Sleep(5 * time.Second) //nolint:forbidigo // in a bubble
		d := detail(t, log, "payment", "7")
		// What was passed over before the start is, the second time, one that comes after it.
		if got := s.commands(); got != "ship 7" || len(d.History) > before+2 {
			t.Errorf("sent: %s; history: %s", got, story(d))
		}
	})
}

func TestACommandThatFailsForGoodIsVisibleAndGoesOnWhenRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newShop(t), memory(t)
		set := newSet(t, log, brief(t), s.manager(t))
		run(t, set)
		s.fail = func(what string) error { return fmt.Errorf("%s: %w", what, errSupplier) }
		s.happen(t, log, "order-1", placed{"1", 100})
		s.happen(t, log, "order-1", paid{"1"})
		indexed(t, log, saga.Filter{Saga: "payment", Status: saga.StatusFailed}, 1)
		d := detail(t, log, "payment", "1")
		if !strings.Contains(d.Error, "command ship") {
			t.Errorf("reason: %s", d.Error)
		}
		s.fail = func(string) error { return nil }
		if err := set.Control().Compensate(t.Context(), "payment", "1", "", ""); !errors.Is(err, saga.ErrRefused) {
			t.Errorf("compensate a process manager: %v", err)
		}
		if err := set.Control().Retry(t.Context(), "payment", "1", "ann"); err != nil {
			t.Fatal(err)
		}
		s.happen(t, log, "order-1", shipped{"1"})
		settled(t, log, "payment", "1", saga.StatusCompleted)
		if got := s.commands(); got != "ship 1" {
			t.Errorf("sent: %s", got)
		}
	})
}

func TestAProcessManagerSurvivesACrashAtAnyWrite(t *testing.T) {
	for _, last := range []bool{false, true} {
		for n := range 40 { // by then it is only renewing its leases
			synctest.Test(t, func(t *testing.T) {
				under := memstore.New(memstore.Options{})
				defer func() { _ = under.Close() }()
				log := store.New(under, store.Options{})
				s := newShop(t)
				first := &mortal{Backend: under, left: n, last: last, dead: make(chan struct{})}
				s.fail = func(string) error {
					if isDone(first.dead) {
						return errDead
					}
					return nil
				}
				s.happen(t, log, "bank-7", paid{"7"})
				s.happen(t, log, "order-7", placed{"7", 100})
				s.happen(t, log, "order-8", placed{"8", 100})
				_, stop := life(t, first, brief(t), func(func() bool) []saga.Definer { return []saga.Definer{s.manager(t)} })
				time.Sleep(20 * time.Second) //nolint:forbidigo // in a bubble
				stop()
				s.fail = func(string) error { return nil }
				second := &mortal{Backend: under, left: -1, dead: make(chan struct{})}
				_, stop = life(t, second, brief(t), func(func() bool) []saga.Definer { return []saga.Definer{s.manager(t)} })
				defer stop()
				time.Sleep(20 * time.Second) //nolint:forbidigo // in a bubble
				d := detail(t, log, "payment", "7")
				if got := s.commands(); got != "ship 7" || d.Status != saga.StatusWaiting {
					t.Errorf("write %d (done: %v): sent %q; %s: %s", n, last, got, d.Status, story(d))
				}
				if d := detail(t, log, "payment", "8"); story(d) != "started reacted:order.placed timer_set:unpaid" {
					t.Errorf("write %d (done: %v): %s", n, last, story(d))
				}
			})
			if t.Failed() {
				return
			}
		}
	}
}
