package events_test

import (
	"context"
	"testing"

	"lexigram.dev/events"
	"lexigram.dev/events/saga"
)

func TestSagasRunAsAPartOfTheEngine(t *testing.T) {
	e := events.Stub()
	done := make(chan struct{})
	greet, err := saga.Define("greet", 1, saga.Step[string]{
		Name: "hello", Action: func(context.Context, *string) error { close(done); return nil },
	})
	must(t, err)
	set, err := saga.NewSet(e.Store(), saga.Options{}, greet)
	must(t, err)
	must(t, e.AddRunners(set))
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- e.Run(ctx) }()
	must(t, set.Start(t.Context(), "greet", "1", "ada", saga.StartOptions{}))
	<-done
	if h := e.Health(t.Context()); !h.OK || len(h.Parts) != 1 || h.Parts[0].Name != "sagas" || h.Parts[0].Status != events.StatusRunning {
		t.Errorf("got %+v", h)
	}
	stop()
	must(t, <-ran)
	must(t, e.Close())
}
