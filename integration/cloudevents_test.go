package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/schema"
)

const patience = 30 * time.Second

type placed struct {
	Order string `json:"order"`
	Total int    `json:"total"`
}

// protocol is a broker as a program sees it that has the official SDK and not this module.
type protocol struct {
	variable string
	open     func(ctx context.Context, url string) (broker.Backend, error)
	// listen gives a function that waits for the next event of a topic.
	listen func(t *testing.T, url, topic string) func(t *testing.T) *cloudevents.Event
	send   func(t *testing.T, url, topic string, e cloudevents.Event)
}

func TestEventsAreThoseOfTheOfficialSDKBothWays(t *testing.T) {
	for name, p := range map[string]protocol{"kafka": kafka(), "nats": jetStream(), "rabbitmq": rabbit()} {
		t.Run(name, func(t *testing.T) {
			url := testserver.URL(t, p.variable)
			backend, err := p.open(t.Context(), url)
			must(t, err)
			b := broker.New(backend, broker.Options{})
			t.Cleanup(func() { must(t, b.Close()) })
			id := event.NewID()
			bus, received := newBus(t, b, fmt.Sprintf("interop-%x", id[:]))
			topic := fmt.Sprintf("interop-%x", id[:])
			next := p.listen(t, url, topic)

			t.Run("theirs reads ours", func(t *testing.T) { sendOurs(t, bus, next) })
			t.Run("ours reads theirs", func(t *testing.T) {
				sendTheirs(t, func(e cloudevents.Event) { p.send(t, url, topic, e) }, received)
			})
		})
	}
}

// newBus runs a bus on a topic of its own, whose events it passes on.
func newBus(t *testing.T, b *broker.Broker, topic string) (*eventbus.Bus, <-chan eventbus.Call) {
	t.Helper()
	registry := schema.NewRegistry()
	must(t, schema.Register[placed](registry, "order.placed", schema.Options{}))
	bus, err := eventbus.New(b, registry, topic, eventbus.Options{
		Topic: topic, Source: "/shop", DropFailed: true, OnError: func(err error) { t.Error(err) },
	})
	must(t, err)
	received := make(chan eventbus.Call, 16)
	must(t, eventbus.On(bus, "all", func(_ context.Context, e placed, m eventbus.Message) error {
		received <- eventbus.Call{Event: e, Message: m}
		return nil
	}, eventbus.HandlerOptions{}))
	must(t, bus.Declare(t.Context()))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- bus.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
	return bus, received
}

func sendOurs(t *testing.T, bus *eventbus.Bus, next func(t *testing.T) *cloudevents.Event) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	ctx := event.WithMetadata(t.Context(), event.Metadata{CorrelationID: "c-1", Tenant: "acmé", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	id := event.NewID()
	must(t, bus.Publish(ctx, eventbus.Outgoing{Event: placed{Order: "order-7", Total: 12}, ID: id, Key: "order-7", Subject: "order-7", OccurredAt: at}))
	got := next(t)
	must(t, got.Validate())
	if got.ID() != id.String() || got.Source() != "/shop" || got.Type() != "order.placed" || got.Subject() != "order-7" || !got.Time().Equal(at) ||
		got.SpecVersion() != "1.0" || got.DataContentType() != "application/json" {
		t.Errorf("they read %s", got)
	}
	var data placed
	if err := got.DataAs(&data); err != nil || data != (placed{Order: "order-7", Total: 12}) {
		t.Errorf("their data is %+v (%v)", data, err)
	}
	for name, want := range map[string]string{
		"partitionkey": "order-7", "correlationid": "c-1", "tenant": "acmé", "schemaversion": "1",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if have := fmt.Sprint(got.Extensions()[name]); have != want {
			t.Errorf("extension %s is %q, want %q", name, have, want)
		}
	}
}

func sendTheirs(t *testing.T, send func(e cloudevents.Event), received <-chan eventbus.Call) {
	at := time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC)
	e := cloudevents.NewEvent()
	e.SetID("their-1")
	e.SetSource("https://example.com/theirs")
	e.SetType("order.placed")
	e.SetSubject("order-9")
	e.SetTime(at)
	e.SetExtension("partitionkey", "order-9")
	e.SetExtension("correlationid", "c-2")
	e.SetExtension("region", "eu")
	must(t, e.SetData("application/json; charset=utf-8", placed{Order: "order-9", Total: 3}))
	send(e)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case c := <-received:
			m := c.Message
			if m.Source == "/shop" {
				continue // our own
			}
			metadata, err := m.Event.Metadata()
			if err != nil || c.Event != (placed{Order: "order-9", Total: 3}) || m.ID != "their-1" || m.Source != "https://example.com/theirs" ||
				m.Subject != "order-9" || m.Key != "order-9" || m.Event.Type != "order.placed" || !m.Event.OccurredAt.Equal(at) ||
				metadata.CorrelationID != "c-2" || m.Extensions["region"] != "eu" || m.Event.ContentType != "application/json; charset=utf-8" {
				t.Errorf("we read %+v (%v)", c, err)
			}
			return
		case <-timeout.C:
			t.Fatalf("their event did not come within %v", patience)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
