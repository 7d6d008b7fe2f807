package events_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// greeting is a saga of one step.
func greeting(t *testing.T, hello saga.Action[string]) saga.Definer {
	t.Helper()
	d, err := saga.Define("greet", 1, saga.Step[string]{Name: "hello", Action: hello})
	must(t, err)
	return d
}

// running runs an engine until stop is called.
func running(t *testing.T, e *events.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- e.Run(ctx) }()
	return func() {
		cancel()
		must(t, <-ran)
		must(t, e.Close())
	}
}

func TestSagasRunAsAPartOfTheEngine(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	e, err := events.New(events.Options{Now: func() time.Time { return now }})
	must(t, err)
	if e.Sagas() != nil {
		t.Error("there are sagas before any were added")
	}
	done := make(chan struct{})
	set, err := e.AddSagas(saga.Options{}, greeting(t, func(context.Context, *string) error { close(done); return nil }))
	must(t, err)
	if e.Sagas() != set {
		t.Error("the engine gives another set than it has made")
	}
	stop := running(t, e)
	must(t, e.Sagas().Start(t.Context(), "greet", "1", "ada", saga.StartOptions{}))
	<-done
	if h := e.Health(t.Context()); !h.OK || len(h.Parts) != 1 || h.Parts[0].Name != "sagas" || h.Parts[0].Status != events.StatusRunning {
		t.Errorf("got %+v", h)
	}
	if d, err := e.Sagas().Control().Get(t.Context(), "greet", "1"); err != nil || !d.StartedAt.Equal(now) {
		t.Errorf("started at %v, not at the engine's time; %v", d.StartedAt, err)
	}
	stop()
}

func TestWhatAProcessManagerFailsAtBecomesTheEnginesDeadLetter(t *testing.T) {
	type asked struct{ Name string }
	e := events.Stub()
	must(t, schema.Register[asked](e.Schema(), "greeting.asked", schema.Options{}))
	manager, err := saga.Manage("greeter", 1, e.Schema(), e.Commands(),
		saga.Starts(func(a asked) string { return a.Name }, func(*saga.Turn[string], asked) error {
			return saga.Permanent(errors.New("nobody is at home"))
		}))
	must(t, err)
	_, err = e.AddSagas(saga.Options{OnError: func(error) {}, Retry: saga.Retry{Initial: time.Millisecond}}, manager)
	must(t, err)
	stop := running(t, e)
	pending, err := e.Schema().Encode(asked{Name: "ada"})
	must(t, err)
	_, err = e.Store().Append(t.Context(), "greeting-1", store.Any(), pending)
	must(t, err)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; n == 0; <-tick.C {
		n, err = e.DeadLetters().Count(t.Context(), deadletter.Filter{})
		must(t, err)
	}
	stop()
}

func TestSagasAreAddedOnceAndBeforeRun(t *testing.T) {
	e := events.Stub()
	greet := greeting(t, func(context.Context, *string) error { return nil })
	_, err := e.AddSagas(saga.Options{})
	wantError(t, err, nil, "add sagas", "none")
	_, err = e.AddSagas(saga.Options{Concurrency: -1}, greet)
	wantError(t, err, store.ErrInvalid, "add sagas")
	_, err = e.AddSagas(saga.Options{}, greet)
	must(t, err)
	_, err = e.AddSagas(saga.Options{}, greet)
	wantError(t, err, nil, "there is a part of that name")
	must(t, e.Close())
	_, err = e.AddSagas(saga.Options{}, greet)
	wantError(t, err, store.ErrClosed)
}

// A process that takes in orders, and brings each to its end whatever happens in between.
func ExampleEngine_AddSagas() {
	type order struct{ Item, Parcel string }
	delivered := make(chan order, 1)
	ship, err := saga.Define("ship", 1,
		saga.Step[order]{Name: "pack", Action: func(ctx context.Context, o *order) error {
			info, _ := saga.InfoFrom(ctx)
			o.Parcel = fmt.Sprintf("%s for %s", o.Item, info.ID)
			return nil
		}},
		saga.Step[order]{Name: "deliver", Action: func(_ context.Context, o *order) error { delivered <- *o; return nil }},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	engine := events.Stub() // events.New with the backend of your choice
	defer func() { _ = engine.Close() }()
	sagas, err := engine.AddSagas(saga.Options{}, ship)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- engine.Run(ctx) }()
	if err := sagas.Start(ctx, "ship", "ada", order{Item: "teapot"}, saga.StartOptions{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println((<-delivered).Parcel)
	stop()
	fmt.Println(<-done)
	// Output:
	// teapot for ada
	// <nil>
}
