package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/query"
	"lexigram.dev/events/store"
)

func lamp(customer string) Placed { return Placed{Customer: customer, Product: "lamp", Quantity: 2} }

func TestE01ACommandReachesTheAggregateAndItsDataIsReadBack(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	s.send(t, Place{"7", lamp("ada")})
	o, err := s.orders.Load(t.Context(), "7")
	must(t, err)
	equal(t, "product", o.Product, "lamp")
}

func TestE02AQueryReadsThroughTheRepository(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	s.send(t, Place{"7", lamp("ada")})
	o, err := query.Dispatch[*Order](t.Context(), s.Queries(), OrderOf{"7"})
	must(t, err)
	equal(t, "quantity", o.Quantity, 2)
}

func TestE03AHandlerGetsExactlyOneEventWithItsPayload(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	bus := newBus(t, s, "shop", eventbus.Options{})
	var got []Placed
	must(t, eventbus.On(bus, "mailer", func(_ context.Context, e Placed, _ eventbus.Message) error {
		got = append(got, e)
		return nil
	}, eventbus.HandlerOptions{}))
	runUntilTheEnd(t, bus)
	must(t, bus.Publish(t.Context(), lamp("ada")))
	must(t, bus.Flush(t.Context()))
	if !slices.Equal(got, []Placed{lamp("ada")}) {
		t.Errorf("the handler got %v", got)
	}
}

func TestE04WhatIsSavedIsLoadedWithItsIDItsFieldsAndVersionOne(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	o, err := s.orders.New("7")
	must(t, err)
	must(t, aggregate.Record(o, lamp("ada")))
	_, err = s.orders.Save(t.Context(), o)
	must(t, err)
	loaded, err := s.orders.Load(t.Context(), "7")
	must(t, err)
	equal(t, "id", loaded.ID(), "7")
	equal(t, "version", loaded.Version(), 1)
	equal(t, "product", loaded.Product, "lamp")
}

func TestE05OfTwoChangedCopiesTheFirstIsSavedAndTheSecondRefused(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	s.send(t, Place{"7", lamp("ada")})
	var copies [2]*Order
	for i := range copies {
		var err error
		copies[i], err = s.orders.Load(t.Context(), "7")
		must(t, err)
		must(t, copies[i].ship(fmt.Sprint(i)))
	}
	_, first := s.orders.Save(t.Context(), copies[0])
	_, second := s.orders.Save(t.Context(), copies[1])
	must(t, first)
	var conflict *store.ConflictError
	if !errors.As(second, &conflict) {
		t.Errorf("the second one gave %v", second)
	}
}

func TestE06TheCommandSideFeedsAViewThatAQueryAsks(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	s.start(t)
	s.send(t, Place{"7", lamp("ada")})
	s.caughtUp(t)
	found, err := query.Dispatch[[]View](t.Context(), s.Queries(), OrdersFrom{"ada"})
	must(t, err)
	if len(found) != 1 || found[0].Product != "lamp" {
		t.Errorf("the query gave %v", found)
	}
}

func TestE07AnOrderIsPlacedAndShippedAndItsViewFollows(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	s.start(t)
	s.send(t, Place{"7", lamp("ada")})
	s.caughtUp(t)
	v, err := s.views.Get(t.Context(), "7")
	must(t, err)
	equal(t, "view", v, View{Status: "placed", Customer: "ada", Product: "lamp"})
	s.send(t, Ship{"7", "LX14"})
	s.caughtUp(t)
	v, err = s.views.Get(t.Context(), "7")
	must(t, err)
	equal(t, "view", v, View{Status: "shipped", Customer: "ada", Product: "lamp", Tracking: "LX14"})
	found, err := query.Dispatch[[]View](t.Context(), s.Queries(), OrdersFrom{"ada"})
	must(t, err)
	equal(t, "orders of the customer", len(found), 1)
}

func TestE08FiveSavesWithSnapshotsReloadTheLastState(t *testing.T) {
	s := newShop(t, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 2}})
	for range 5 {
		s.send(t, Place{"7", lamp("ada")})
	}
	o, err := s.orders.Load(t.Context(), "7")
	must(t, err)
	equal(t, "version", o.Version(), 5)
	equal(t, "quantity", o.Quantity, 10)
	snapshots := 0
	for _, err := range s.Store().Scan(t.Context(), store.Scan{Bucket: "snapshot-order"}) {
		must(t, err)
		snapshots++
	}
	equal(t, "snapshots after versions 2 and 4", snapshots, 2)
}

func TestE09FiveCommandsAtTheSameTimeMakeFiveOrders(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			if _, err := s.Commands().Dispatch(t.Context(), Place{fmt.Sprint(i), lamp("ada")}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range 5 {
		o, err := s.orders.Load(t.Context(), fmt.Sprint(i))
		must(t, err)
		equal(t, "version", o.Version(), 1)
	}
}

func TestE10AppendsThroughTheOutboxReachTheStore(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	relay := newRelay(t, s, s.Broker())
	runUntilTheEnd(t, relay)
	_, err := s.Store().Append(t.Context(), "order-1", store.NoStream(), pending("order.placed"))
	must(t, err)
	res, err := s.Store().Append(t.Context(), "order-2", store.NoStream(), pending("order.placed"), pending("order.paid"), pending("order.shipped"))
	must(t, err)
	must(t, relay.WaitFor(t.Context(), res.Last))
	equal(t, "events stored", len(collect(t, s.Store(), store.LogRead{})), 4)
}

func TestE11ARelayRunsOnceDeliversWhatIsQueuedAndStops(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	got := take(t, s.Broker(), "billing", "events.order")
	relay := newRelay(t, s, s.Broker())
	runUntilTheEnd(t, relay)
	must(t, relay.WaitFor(t.Context(), 0)) // nothing is queued
	for n, queued := range []int{1, 5} {
		batch := make([]event.Pending, queued)
		for i := range batch {
			batch[i] = pending("order.placed")
		}
		_, err := s.Store().Append(t.Context(), event.StreamID(fmt.Sprint("order-", n)), store.NoStream(), batch...)
		must(t, err)
		for range queued {
			receive(t, got)
		}
	}
	if err := relay.Run(t.Context()); err == nil {
		t.Error("the relay ran a second time")
	}
}

func TestE12PublishedEventsAreAppliedInTheOrderOfTheirAggregate(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	bus := newBus(t, s, "rows", eventbus.Options{Topic: "shop", Topics: []string{"events.order"}})
	var mu sync.Mutex
	rows := map[string][]string{}
	done := make(chan struct{}, 3)
	must(t, eventbus.OnAll(bus, "rows", func(_ context.Context, m eventbus.Message) error {
		mu.Lock()
		defer mu.Unlock()
		rows[string(m.Event.Stream)] = append(rows[string(m.Event.Stream)], m.Event.Type)
		done <- struct{}{}
		return nil
	}, eventbus.HandlerOptions{}))
	must(t, bus.Declare(t.Context()))
	runUntilTheEnd(t, bus)
	runUntilTheEnd(t, newRelay(t, s, s.Broker()))
	_, err := s.orders.Update(t.Context(), "7", func(o *Order) error {
		return aggregate.Record(o, lamp("ada"), Paid{}, Shipped{"LX14"})
	})
	must(t, err)
	for range 3 {
		receive(t, done)
	}
	if got := rows["order-7"]; !slices.Equal(got, []string{"order.placed", "order.paid", "order.shipped"}) {
		t.Errorf("applied as %v", got)
	}
}

func TestE13EachSubscriberOfATypeGetsItOthersDoNotAndNoneIsSilent(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	must(t, newBus(t, s, "nobody", eventbus.Options{}).Publish(t.Context(), Paid{})) // no subscriber
	bus := newBus(t, s, "shop", eventbus.Options{})
	got := make(chan string, 8)
	for _, name := range []string{"one", "two"} {
		must(t, eventbus.On(bus, name, func(_ context.Context, e Placed, _ eventbus.Message) error {
			got <- name + " " + e.Product
			return nil
		}, eventbus.HandlerOptions{}))
	}
	must(t, eventbus.On(bus, "other", func(context.Context, Shipped, eventbus.Message) error {
		got <- "other"
		return nil
	}, eventbus.HandlerOptions{}))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- bus.Run(ctx) }()
	must(t, bus.Publish(t.Context(), lamp("ada")))
	must(t, bus.Flush(t.Context()))
	stop() // unsubscribed: what comes now waits for the next one
	must(t, <-ended)
	must(t, bus.Publish(t.Context(), lamp("bob")))
	close(got)
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range got {
			if !yield(name) {
				return
			}
		}
	})
	if !slices.Equal(names, []string{"one lamp", "two lamp"}) {
		t.Errorf("got %v", names)
	}
}

func TestE14PositionsAreUniqueAcrossStreamsAndConcurrentAppends(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			if _, err := s.Store().Append(t.Context(), event.StreamID(fmt.Sprint("order-", i)), store.NoStream(), pending("order.placed")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i, e := range collect(t, s.Store(), store.LogRead{}) {
		equal(t, "position", e.Position, event.Position(i+1))
	}
	equal(t, "events from position 7 on", len(collect(t, s.Store(), store.LogRead{From: 7})), 4)
}

func TestE15TheDemoPlacesPaysAndShipsAndRefusesWhatMayNotBe(t *testing.T) {
	s := newShop(t, aggregate.Options{})
	s.start(t)
	backend := &refusing{Backend: membroker.New(membroker.Options{})}
	messages := broker.New(backend, broker.Options{})
	t.Cleanup(func() { must(t, messages.Close()) })
	got := take(t, messages, "notifications", "events.order")
	relay := newRelay(t, s, messages)
	backend.refuse.Store(true)
	refused := make(chan struct{}, 100)
	backend.refused = refused
	runUntilTheEnd(t, relay)
	s.send(t, Place{"7", lamp("ada")})
	_, err := s.orders.Update(t.Context(), "7", func(o *Order) error { return aggregate.Record(o, Paid{}) })
	must(t, err)
	s.send(t, Ship{"7", "LX14"})
	receive(t, refused)
	status, err := relay.Status(t.Context())
	must(t, err)
	equal(t, "backlog while the broker refuses", status.Feed.Lag, 3)
	backend.refuse.Store(false)
	var timeline []string
	for range 3 {
		timeline = append(timeline, receive(t, got))
	}
	if !slices.Equal(timeline, []string{"order.placed", "order.paid", "order.shipped"}) {
		t.Errorf("notified of %v", timeline)
	}
	_, err = s.Commands().Dispatch(t.Context(), Ship{"7", "LX15"})
	if !errors.Is(err, errTransition) {
		t.Errorf("a second shipment gave %v", err)
	}
	s.caughtUp(t)
	v, err := s.views.Get(t.Context(), "7")
	must(t, err)
	equal(t, "tracking", v.Tracking, "LX14")
	must(t, relay.WaitFor(t.Context(), 3))
}

// refusing is a broker that can be told to refuse.
type refusing struct {
	broker.Backend
	refuse  atomic.Bool
	refused chan<- struct{}
}

func (r *refusing) Publish(ctx context.Context, messages []broker.Message) []error {
	if !r.refuse.Load() {
		return r.Backend.Publish(ctx, messages)
	}
	answers := make([]error, len(messages))
	for i := range answers {
		answers[i] = broker.ErrUnavailable
	}
	select {
	case r.refused <- struct{}{}:
	default:
	}
	return answers
}

// newBus makes an event bus over the shop's broker.
func newBus(t *testing.T, s *shop, group string, o eventbus.Options) *eventbus.Bus {
	t.Helper()
	o.Store = s.Store()
	bus, err := eventbus.New(s.Broker(), s.Schema(), group, o)
	must(t, err)
	return bus
}

func newRelay(t *testing.T, s *shop, b *broker.Broker) *outbox.Relay {
	t.Helper()
	relay, err := outbox.NewRelay(s.Store(), "public", b, s.DeadLetters(), outbox.Options{OnError: func(error) {}})
	must(t, err)
	return relay
}

// take hands over the types of the messages of a topic, in their order.
func take(t *testing.T, b *broker.Broker, group, topic string) <-chan string {
	t.Helper()
	g := broker.Group{Name: group, Topics: []string{topic}}
	must(t, b.Declare(t.Context(), g))
	got := make(chan string, 100)
	consumer, err := broker.NewConsumer(b, g, func(_ context.Context, d broker.Delivery) error {
		got <- d.Headers["ce-type"]
		return nil
	}, broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, group, "dead")})
	must(t, err)
	runUntilTheEnd(t, consumer)
	return got
}
