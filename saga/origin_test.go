package saga_test

import (
	"context"
	"testing"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func TestWhoTheTenantAndTheTraceGoAlongWithAllThatIsDone(t *testing.T) {
	origin := event.Metadata{
		Actor: "ada", Tenant: "north", CorrelationID: "request 7", CausationID: "command 7",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	check := func(what string, got event.Metadata) {
		t.Helper()
		if got.Actor != origin.Actor || got.Tenant != origin.Tenant || got.TraceParent != origin.TraceParent || got.CorrelationID != origin.CorrelationID {
			t.Errorf("%s: %+v, want that of %+v", what, got, origin)
		}
		if got.CausationID == origin.CausationID {
			t.Errorf("%s: its cause is not what has started the instance", what)
		}
	}
	log := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer func() { _ = log.Close() }()
	in := make(chan event.Metadata, 2)
	tell := func(ctx context.Context) { in <- event.MetadataFrom(ctx) }
	steps, err := saga.Define("walk", 1, saga.Step[struct{}]{Name: "step", Action: func(ctx context.Context, _ *struct{}) error {
		tell(ctx)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	registry, bus := schema.NewRegistry(), command.NewBus(command.Options{})
	for _, err := range []error{
		schema.Register[placed](registry, "order.placed", schema.Options{}),
		schema.Register[ship](registry, "ship", schema.Options{}),
		command.Handle(bus, func(ctx context.Context, _ ship) (command.None, error) {
			tell(ctx)
			return command.None{}, nil
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	manager, err := saga.Manage("shipping", 1, registry, bus, saga.Starts(func(e placed) string { return e.Order }, func(turn *saga.Turn[struct{}], e placed) error {
		turn.Send(ship{Order: e.Order})
		turn.Complete()
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	set, err := saga.NewSet(log, saga.Options{}, steps, manager)
	if err != nil {
		t.Fatal(err)
	}
	// It begins before anybody runs it, so what goes along comes out of the log.
	if err := set.Start(event.WithMetadata(t.Context(), origin), "walk", "1", struct{}{}, saga.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	check("the action", <-in)

	e, err := registry.Encode(placed{Order: "7"})
	if err != nil {
		t.Fatal(err)
	}
	e.Metadata = origin
	if _, err := log.Append(t.Context(), "order-7", store.NoStream(), e); err != nil {
		t.Fatal(err)
	}
	check("the command", <-in)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for r, err := range log.ReadLog(t.Context(), store.LogRead{Filter: store.Filter{Categories: []string{"saga_walk", "saga_shipping"}}}) {
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		check(r.Type, m)
	}
}
