package otelobserve_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/eventbus"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/observe/otelobserve"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type place struct{}

type placed struct{}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func recorder() (*otelobserve.Tracer, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return otelobserve.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))), spans
}

// named finds the one span of a name.
func named(t *testing.T, spans *tracetest.SpanRecorder, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	var found []sdktrace.ReadOnlySpan
	var names []string
	for _, s := range spans.Ended() {
		names = append(names, s.Name())
		if s.Name() == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans %q among %q", len(found), name, names)
	}
	return found[0]
}

// A command appends; its events, published to a bus, are handled: one trace, each span the child of what caused it.
func TestATraceGoesFromTheCommandThroughTheEventToItsHandler(t *testing.T) {
	tracer, spans := recorder()
	hooks, err := observe.NewHooks(tracer)
	must(t, err)
	s := store.New(memstore.New(memstore.Options{}), store.Options{Hooks: hooks})
	registry := schema.NewRegistry()
	must(t, schema.Register[placed](registry, "order.placed", schema.Options{}))
	events, err := eventbus.New(broker.New(membroker.New(membroker.Options{}), broker.Options{}), registry, "shop", eventbus.Options{Store: s})
	must(t, err)
	must(t, events.Use(middleware.Events(tracer.Step())))
	handled := make(chan struct{})
	must(t, eventbus.On(events, "mailer", func(context.Context, placed, eventbus.Message) error { close(handled); return nil }, eventbus.HandlerOptions{}))

	commands := command.NewBus(command.Options{})
	must(t, commands.Use(middleware.Commands(tracer.Step())))
	must(t, command.Handle(commands, func(ctx context.Context, _ place) (command.None, error) {
		stream, err := event.NewStreamID("order", "7")
		if err == nil {
			_, err = s.Append(ctx, stream, store.NoStream(), event.Pending{Type: "order.placed", Data: []byte("{}")})
		}
		return command.None{}, errors.Join(err, events.Publish(ctx, placed{}))
	}))
	_, err = commands.Dispatch(t.Context(), place{})
	must(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- events.Run(ctx) }()
	<-handled
	cancel()
	must(t, <-ended)

	root := named(t, spans, "command otelobserve_test.place")
	for _, name := range []string{"append order-7", "event order.placed"} {
		child := named(t, spans, name)
		if child.SpanContext().TraceID() != root.SpanContext().TraceID() || child.Parent().SpanID() != root.SpanContext().SpanID() {
			t.Errorf("%s is no child of the command", name)
		}
	}
	if kind := named(t, spans, "event order.placed").SpanKind(); kind != trace.SpanKindConsumer {
		t.Errorf("the event's span is a %v", kind)
	}
}

func TestFailuresAreMarkedAndWhatBelongsToNoTraceMakesNoSpan(t *testing.T) {
	tracer, spans := recorder()
	bus := command.NewBus(command.Options{})
	must(t, bus.Use(middleware.Commands(tracer.Step())))
	must(t, command.Handle(bus, func(context.Context, place) (command.None, error) { return command.None{}, errors.New("sold out") }))
	_, _ = bus.Dispatch(t.Context(), place{})
	if status := named(t, spans, "command otelobserve_test.place").Status(); status.Code != codes.Error || status.Description != "sold out" {
		t.Errorf("status %+v", status)
	}
	tracer.OnRead(t.Context(), observe.Read{})
	tracer.OnAppend(t.Context(), observe.Append{})
	if n := len(spans.Ended()); n != 1 {
		t.Errorf("%d spans", n)
	}
}

func Example() {
	spans := tracetest.NewSpanRecorder()
	tracer := otelobserve.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	bus := command.NewBus(command.Options{})
	err := errors.Join(
		bus.Use(middleware.Commands(tracer.Step())),
		command.Handle(bus, func(ctx context.Context, _ place) (bool, error) {
			return event.MetadataFrom(ctx).TraceParent != "", nil
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	carried, err := command.Dispatch[bool](context.Background(), bus, place{})
	fmt.Println(carried, err, spans.Ended()[0].Name())
	// Output: true <nil> command otelobserve_test.place
}
