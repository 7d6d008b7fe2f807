package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type Rename struct{ ID, Name string }

func (r Rename) IdempotencyKey() string { return r.ID }

// object is a handler with a method.
type object struct{ prefix string }

func (o object) handle(_ context.Context, c Rename) (string, error) { return o.prefix + c.Name, nil }

func TestU01HandlersAreFunctionsOrMethodsAndAnUnknownMessageSaysSo(t *testing.T) {
	bus := command.NewBus(command.Options{})
	must(t, command.Handle(bus, object{"is now "}.handle))
	answer, err := command.Dispatch[string](t.Context(), bus, Rename{"7", "Ada"})
	must(t, err)
	equal(t, "answer", answer, "is now Ada")
	if _, err := bus.Dispatch(t.Context(), Ship{}); !errors.Is(err, command.ErrNoHandler) {
		t.Errorf("a message without a handler gave %v", err)
	}
	if err := command.Handle(bus, object{}.handle); !errors.Is(err, command.ErrDuplicateHandler) {
		t.Errorf("a second handler gave %v", err)
	}
}

func TestU02AHandlersOwnErrorComesBackAsItIs(t *testing.T) {
	bus := command.NewBus(command.Options{})
	must(t, command.Handle(bus, func(context.Context, Rename) (string, error) { return "", errTransition }))
	if _, err := bus.Dispatch(t.Context(), Rename{}); !errors.Is(err, errTransition) {
		t.Errorf("it gave %v", err)
	}
}

func TestU03MiddlewareRunsInItsOrderMayChangeTheResultAndMayStop(t *testing.T) {
	bus := command.NewBus(command.Options{})
	var order []string
	step := func(name string) middleware.Step {
		return func(ctx context.Context, c middleware.Call, next middleware.Next) error {
			order = append(order, name)
			if name == "guard" && c.Payload().(Rename).Name == "" {
				return errTransition // the handler is not called
			}
			return next(ctx)
		}
	}
	must(t, errors.Join(
		bus.Use(middleware.Commands(step("outer"), step("guard"))),
		command.Handle(bus, func(context.Context, Rename) (string, error) {
			order = append(order, "handler")
			return "", nil
		})))
	_, err := bus.Dispatch(t.Context(), Rename{Name: "Ada"})
	must(t, err)
	if _, err := bus.Dispatch(t.Context(), Rename{}); !errors.Is(err, errTransition) {
		t.Errorf("the guard gave %v", err)
	}
	if !slices.Equal(order, []string{"outer", "guard", "handler", "outer", "guard"}) {
		t.Errorf("the order was %v", order)
	}
}

func TestU04AFailedHandlerStopsTheSequenceOrNotAsTheOptionsSay(t *testing.T) {
	for stop, want := range map[bool]int32{true: 0, false: 1} {
		t.Run(fmt.Sprint("stop=", stop), func(t *testing.T) {
			s := newShop(t, aggregate.Options{})
			bus := newBus(t, s, "shop", eventbus.Options{
				Dispatch: eventbus.Sequential, StopOnError: stop, Retry: broker.Retry{Attempts: 1}, OnError: func(error) {},
			})
			var second atomic.Int32
			must(t, eventbus.On(bus, "first", func(context.Context, Placed, eventbus.Message) error { return errTransition }, eventbus.HandlerOptions{}))
			must(t, eventbus.On(bus, "second", func(context.Context, Placed, eventbus.Message) error {
				second.Add(1)
				return nil
			}, eventbus.HandlerOptions{}))
			runUntilTheEnd(t, bus)
			must(t, bus.Publish(t.Context(), lamp("ada")))
			must(t, bus.Flush(t.Context()))
			equal(t, "calls of the second handler", second.Load(), want)
		})
	}
}

func TestU05NoMoreHandlersRunAtATimeThanAllowed(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	bus := newBus(t, s, "shop", eventbus.Options{MaxConcurrentHandlers: 2})
	var running, most atomic.Int32
	var calls sync.WaitGroup
	calls.Add(5)
	for i := range 5 {
		must(t, eventbus.On(bus, fmt.Sprint("h", i), func(context.Context, Placed, eventbus.Message) error {
			defer calls.Done()
			now := running.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			running.Add(-1)
			return nil
		}, eventbus.HandlerOptions{}))
	}
	runUntilTheEnd(t, bus)
	must(t, bus.Publish(t.Context(), lamp("ada")))
	calls.Wait()
	if most.Load() > 2 {
		t.Errorf("%d handlers ran at the same time", most.Load())
	}
}

// deliveries counts what the hooks are told.
type deliveries struct{ handled, failed atomic.Int32 }

func (d *deliveries) OnDispatch(_ context.Context, c observe.Dispatch) {
	if c.Err != nil {
		d.failed.Add(1)
	} else {
		d.handled.Add(1)
	}
}

func TestU06HooksAreToldOfWhatIsHandledAndOfWhatFails(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	seen := &deliveries{}
	hooks, err := observe.NewHooks(seen)
	must(t, err)
	bus := newBus(t, s, "shop", eventbus.Options{Hooks: hooks, Retry: broker.Retry{Attempts: 1}, OnError: func(error) {}})
	must(t, eventbus.On(bus, "mailer", func(_ context.Context, e Placed, _ eventbus.Message) error {
		if e.Product == "" {
			return errTransition
		}
		return nil
	}, eventbus.HandlerOptions{}))
	runUntilTheEnd(t, bus)
	must(t, bus.Publish(t.Context(), lamp("ada"), Placed{}))
	must(t, bus.Flush(t.Context()))
	equal(t, "handled", seen.handled.Load(), 1)
	equal(t, "failed", seen.failed.Load(), 1)
}

func TestU07TheStoreCountsVersionsReadsFromAVersionOnAndRefusesAWrongOne(t *testing.T) {
	s := newShop(t, aggregate.Options{}).Store()
	res, err := s.Append(t.Context(), "order-1", store.NoStream(), pending("a"), pending("b"), pending("c"))
	must(t, err)
	equal(t, "version", res.Version(), 3)
	_, err = s.Append(t.Context(), "order-1", store.Exactly(2), pending("d"))
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("a wrong version gave %v", err)
	}
	var versions []event.Version
	for e, err := range s.ReadStream(t.Context(), store.StreamRead{Stream: "order-1", From: 2}) {
		must(t, err)
		versions = append(versions, e.Version)
	}
	if !slices.Equal(versions, []event.Version{2, 3}) {
		t.Errorf("read versions %v", versions)
	}
	equal(t, "events of a type", len(collect(t, s, store.LogRead{Filter: store.Filter{Query: store.Query{{Types: []string{"b"}}}}})), 1)
	for range s.ReadStream(t.Context(), store.StreamRead{Stream: "order-2"}) {
		t.Error("a stream that is not there has an event")
	}
}

func TestU08ALoadBeginsAtTheSnapshotAndReadsTheEventsAfterIt(t *testing.T) {
	s := newShop(t, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 3, Keep: 2}})
	for range 2 {
		s.send(t, Place{"7", lamp("ada")})
	}
	snapshots := func() (n int) {
		for _, err := range s.Store().Scan(t.Context(), store.Scan{Bucket: "snapshot-order"}) {
			must(t, err)
			n++
		}
		return n
	}
	equal(t, "snapshots below the threshold", snapshots(), 0)
	for range 10 {
		s.send(t, Place{"7", lamp("ada")})
	}
	equal(t, "snapshots kept", snapshots(), 2)
	_, err := s.Store().Truncate(t.Context(), "order-7", 9) // what the snapshot holds is not read again
	must(t, err)
	s.send(t, Place{"7", lamp("ada")})
	o, err := s.orders.Load(t.Context(), "7")
	must(t, err)
	equal(t, "version", o.Version(), 13)
	equal(t, "quantity", o.Quantity, 26)
}

func TestU09AnAggregateStampsTheContextsIDsAndListsItsChanges(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	ctx := event.WithMetadata(t.Context(), event.Metadata{CorrelationID: "c-1", CausationID: "cmd-1", Actor: "ada"})
	o, err := s.orders.New("7")
	must(t, err)
	must(t, aggregate.Record(o, lamp("ada"), Paid{}))
	equal(t, "changes", len(aggregate.Changes(o)), 2)
	_, err = s.orders.Save(ctx, o)
	must(t, err)
	equal(t, "changes after they were saved", len(aggregate.Changes(o)), 0)
	for _, e := range collect(t, s.Store(), store.LogRead{}) {
		m, err := e.Metadata()
		must(t, err)
		equal(t, "correlation", m.CorrelationID, "c-1")
		equal(t, "causation", m.CausationID, "cmd-1")
		equal(t, "actor", m.Actor, "ada")
	}
}

func TestU10ASagaWithoutANameOrUnknownIsRefusedAndAStartedOneIsRecorded(t *testing.T) {
	step := saga.Step[Rename]{Name: "rename", Action: func(context.Context, *Rename) error { return nil }}
	if _, err := saga.Define("", 1, step); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a saga without a name gave %v", err)
	}
	definition, err := saga.Define("renaming", 1, step)
	must(t, err)
	s := newShop(t, aggregate.Options{})
	set, err := s.AddSagas(saga.Options{}, definition)
	must(t, err)
	if err := set.Start(t.Context(), "unknown", "1", Rename{}, saga.StartOptions{}); !errors.Is(err, saga.ErrUnknown) {
		t.Errorf("an unknown saga gave %v", err)
	}
	must(t, set.Start(t.Context(), "renaming", "1", Rename{}, saga.StartOptions{}))
	d, err := set.Control().Get(t.Context(), "renaming", "1")
	must(t, err)
	equal(t, "status", d.Status, saga.StatusRunning)
}

func TestU11AKeyIsHandledOnceUntilItIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.New(memstore.New(memstore.Options{}), store.Options{})
		bus := command.NewBus(command.Options{})
		once, err := middleware.Idempotent(s, middleware.IdempotentOptions{Keep: time.Hour})
		calls := 0
		must(t, errors.Join(err, bus.Use(middleware.Commands(once)), command.Handle(bus, func(context.Context, Rename) (*string, error) {
			calls++
			return nil, nil
		})))
		for _, c := range []struct {
			key  string
			wait time.Duration
			want int
		}{{"a", 0, 1}, {"a", 0, 1}, {"b", 0, 2}, {"a", 2 * time.Hour, 3}} {
			time.Sleep(c.wait) //nolint:forbidigo // the bubble's clock
			_, err := bus.Dispatch(t.Context(), Rename{ID: c.key})
			must(t, err)
			equal(t, "calls", calls, c.want)
		}
		must(t, s.Close())
	})
}

func TestU12DeadLettersAreKeptFoundCountedAndRemoved(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	letters := s.DeadLetters()
	for i, kind := range []string{"order.placed", "order.paid"} {
		must(t, letters.ParkNow(t.Context(), deadletter.Letter{
			Source: "subscription/mailer", Error: "no route", Attempts: 4,
			Event: &event.Recorded{Stream: "order-7", Position: event.Position(i + 1), Type: kind, Data: []byte("{}")},
		}))
	}
	count := func(f deadletter.Filter) int {
		n, err := letters.Count(t.Context(), f)
		must(t, err)
		return n
	}
	equal(t, "all", count(deadletter.Filter{}), 2)
	equal(t, "of a type", count(deadletter.Filter{Type: "order.paid"}), 1)
	equal(t, "of a source", count(deadletter.Filter{Source: "subscription/other"}), 0)
	var ids []string
	for letter, err := range letters.List(t.Context(), deadletter.Filter{}) {
		must(t, err)
		ids = append(ids, letter.ID)
	}
	must(t, letters.Discard(t.Context(), ids[0]))
	if err := letters.Discard(t.Context(), ids[0]); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a letter that is gone gave %v", err)
	}
	equal(t, "left", count(deadletter.Filter{}), 1)
}

func TestU13RegistriesAreIndependentAndTolerateFieldsTheyDoNotKnow(t *testing.T) {
	one, other := schema.NewRegistry(), schema.NewRegistry()
	must(t, schema.Register[Placed](one, "order.placed", schema.Options{}))
	stored := event.Recorded{Type: "order.placed", SchemaVersion: 1, ContentType: event.JSON, Data: []byte(`{"product":"lamp","colour":"red"}`)}
	got, err := one.Decode(&stored)
	must(t, err)
	equal(t, "decoded", got, any(Placed{Product: "lamp"}))
	if _, err := other.Decode(&stored); !errors.Is(err, schema.ErrUnregistered) {
		t.Errorf("the other registry gave %v", err)
	}
	stored.SchemaVersion = 2
	if _, err := one.Decode(&stored); err == nil {
		t.Error("a version of the future was decoded")
	}
}

func TestU14AQueryCombinesTypesAndTags(t *testing.T) {
	s := newShop(t, aggregate.Options{}).Store()
	for i, tag := range []event.Tag{"colour:red", "colour:blue"} {
		p := pending("paint.used")
		p.Tags = []event.Tag{tag, "all"}
		_, err := s.Append(t.Context(), event.StreamID(fmt.Sprint("paint-", i)), store.NoStream(), p, pending("paint.dried"))
		must(t, err)
	}
	for _, c := range []struct {
		name  string
		query store.Query
		want  int
	}{
		{"a type", store.Query{{Types: []string{"paint.used"}}}, 2},
		{"types or", store.Query{{Types: []string{"paint.used", "paint.dried"}}}, 4},
		{"tags and", store.Query{{Tags: []event.Tag{"colour:red", "all"}}}, 1},
		{"items or", store.Query{{Tags: []event.Tag{"colour:red"}}, {Types: []string{"paint.dried"}}}, 3},
	} {
		equal(t, c.name, len(collect(t, s, store.LogRead{Filter: store.Filter{Query: c.query}})), c.want)
	}
	equal(t, "a category", len(collect(t, s, store.LogRead{Filter: store.Filter{Categories: []string{"paint"}}})), 4)
}

func TestU15TheStubWorksWithoutASetting(t *testing.T) {
	e := events.Stub()
	_, err := e.Store().Append(t.Context(), "order-1", store.NoStream(), pending("order.placed"))
	must(t, err)
	equal(t, "it is well", e.Health(t.Context()).OK, true)
	must(t, e.Close())
}
