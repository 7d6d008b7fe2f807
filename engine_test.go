package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/query"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, kind error, phrases ...string) {
	t.Helper()
	if err == nil || kind != nil && !errors.Is(err, kind) {
		t.Fatalf("error %v is not of the kind %v", err, kind)
	}
	for _, phrase := range phrases {
		if !strings.Contains(err.Error(), phrase) {
			t.Errorf("error %q does not say %q", err, phrase)
		}
	}
}

// untilStopped is a part that does nothing.
func untilStopped(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

type watcher struct{ appends, dispatches int }

func (w *watcher) OnAppend(context.Context, observe.Append)     { w.appends++ }
func (w *watcher) OnDispatch(context.Context, observe.Dispatch) { w.dispatches++ }

func TestAnEngineOfZeroOptionsWorksInMemory(t *testing.T) {
	for name, build := range map[string]func() (*events.Engine, error){
		"New":  func() (*events.Engine, error) { return events.New(events.Options{}) },
		"Stub": func() (*events.Engine, error) { return events.Stub(), nil },
	} {
		t.Run(name, func(t *testing.T) {
			e, err := build()
			must(t, err)
			_, err = e.Store().Append(t.Context(), "a-1", store.NoStream(), event.Pending{Type: "x", Data: []byte("{}")})
			must(t, err)
			must(t, schema.Register[struct{}](e.Schema(), "x", schema.Options{}))
			must(t, command.Handle(e.Commands(), func(_ context.Context, n int) (int, error) { return n + 1, nil }))
			must(t, query.Handle(e.Queries(), func(_ context.Context, n int) (int, error) { return n + 2, nil }))
			c, err := command.Dispatch[int](t.Context(), e.Commands(), 1)
			must(t, err)
			q, err := query.Dispatch[int](t.Context(), e.Queries(), 1)
			must(t, err)
			if c != 2 || q != 3 {
				t.Errorf("the command gives %d, the query %d", c, q)
			}
			must(t, e.Close())
		})
	}
}

func TestTheOptionsReachTheParts(t *testing.T) {
	w, registry, now := &watcher{}, schema.NewRegistry(), time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	id := event.NewID()
	e, err := events.New(events.Options{
		Backend: memstore.New(memstore.Options{}), Schema: registry, Hooks: []any{w},
		Limits:         store.Limits{MaxEventBytes: 8},
		CommandTimeout: time.Nanosecond, QueryTimeout: time.Hour,
		Now: func() time.Time { return now }, NewID: func() event.ID { return id },
	})
	must(t, err)
	_, err = e.Store().Append(t.Context(), "a-1", store.Any(), event.Pending{Type: "x", Data: []byte(`{"a":1234}`)})
	wantError(t, err, store.ErrTooLarge)
	_, err = e.Store().Append(t.Context(), "a-1", store.Any(), event.Pending{Type: "x", Data: []byte(`{}`)})
	must(t, err)
	for stored, err := range e.Store().ReadLog(t.Context(), store.LogRead{}) {
		if must(t, err); stored.ID != id || !stored.OccurredAt.Equal(now) {
			t.Errorf("stored %+v", stored)
		}
	}
	deadline := func(ctx context.Context, _ int) (string, error) {
		d, _ := ctx.Deadline()
		return event.MetadataFrom(ctx).CorrelationID, errors.Join(ctx.Err(), errAfter(d, time.Minute))
	}
	must(t, errors.Join(command.Handle(e.Commands(), deadline), query.Handle(e.Queries(), deadline)))
	_, err = command.Dispatch[string](t.Context(), e.Commands(), 1)
	wantError(t, err, command.ErrTimeout)
	correlation, err := query.Dispatch[string](t.Context(), e.Queries(), 1)
	if err != nil || correlation != id.String() {
		t.Errorf("correlation id %q, %v", correlation, err)
	}
	if e.Schema() != registry || w.appends != 2 || w.dispatches != 2 {
		t.Errorf("the hooks saw %+v", w)
	}
}

// errAfter is an error unless the deadline is at least so far away, or over.
func errAfter(deadline time.Time, least time.Duration) error {
	if left := time.Until(deadline); left > 0 && left < least {
		return errors.New("the deadline is near")
	}
	return nil
}

func TestFaultyOptionsAreReportedTogether(t *testing.T) {
	_, err := events.New(events.Options{Hooks: []any{7}, QueryTimeout: -1})
	wantError(t, err, nil, "hook 1 (int)", "timeouts")
}

func TestRunEndsCleanlyWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := events.Stub()
		must(t, e.Add(events.Part{Name: "patient", Run: untilStopped}))
		must(t, e.Add(events.Part{Name: "quick", Run: func(context.Context) error { return nil }}))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		synctest.Wait()
		h := e.Health(ctx)
		if !h.OK || len(h.Parts) != 2 || h.Parts[0].Status != events.StatusRunning || h.Parts[1].Status != events.StatusStopped {
			t.Errorf("health is %+v", h)
		}
		stop()
		must(t, <-done)
		wantError(t, e.Run(t.Context()), events.ErrRunning)
		wantError(t, e.Add(events.Part{Name: "late", Run: untilStopped}), events.ErrRunning, "late")
		must(t, e.Close())
	})
}

func TestRunWithoutPartsWaitsForTheContext(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Nanosecond)
	defer stop()
	must(t, events.Stub().Run(ctx))
}

func TestTheFirstFailureStopsTheOthers(t *testing.T) {
	broken := errors.New("broken")
	for name, fail := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return broken },
		"panic": func(context.Context) error { panic(broken) },
	} {
		t.Run(name, func(t *testing.T) {
			e := events.Stub()
			must(t, e.Add(events.Part{Name: "patient", Run: untilStopped}))
			must(t, e.Add(events.Part{Name: "culprit", Run: fail}))
			err := e.Run(t.Context())
			wantError(t, err, broken, `part "culprit"`)
			if strings.Contains(err.Error(), "patient") {
				t.Errorf("the one that was stopped is blamed: %v", err)
			}
			var panicked *events.PanicError
			if errors.As(err, &panicked) != (name == "panic") {
				t.Errorf("got %v", err)
			}
			h := e.Health(t.Context())
			if h.OK || h.Parts[0].Status != events.StatusStopped || h.Parts[1].Status != events.StatusFailed || !strings.Contains(h.Parts[1].Error, "broken") {
				t.Errorf("health is %+v", h)
			}
		})
	}
}

func TestCloseStopsRunAndClosesTheStoreLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := events.Stub()
		var last error
		must(t, e.Add(events.Part{Name: "writer", Run: func(ctx context.Context) error {
			<-ctx.Done()
			_, last = e.Store().Append(context.WithoutCancel(ctx), "a-1", store.Any(), event.Pending{Type: "x", Data: []byte("{}")})
			return nil
		}}))
		done := make(chan error)
		go func() { done <- e.Run(t.Context()) }()
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- e.Close() }()
		must(t, <-done)
		must(t, <-closed)
		must(t, last)
		must(t, e.Close())
		_, err := e.Store().Head(t.Context())
		wantError(t, err, store.ErrClosed)
		if h := e.Health(t.Context()); h.OK || !strings.Contains(h.Store.Error, "closed") {
			t.Errorf("health is %+v", h)
		}
		wantError(t, e.Run(t.Context()), store.ErrClosed)
		wantError(t, e.Add(events.Part{Name: "late", Run: untilStopped}), store.ErrClosed)
	})
}

func TestAPartNeedsANameOfItsOwn(t *testing.T) {
	e := events.Stub()
	must(t, e.Add(events.Part{Name: "one", Run: untilStopped}))
	wantError(t, e.Add(events.Part{Name: "one", Run: untilStopped}), nil, "one", "of that name")
	wantError(t, e.Add(events.Part{Run: untilStopped}), nil, "name")
	wantError(t, e.Add(events.Part{Name: "two"}), nil, "two", "Run")
}

func TestHealthAsksTheParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := events.Stub()
		behind := errors.New("far behind")
		asked := func(err error) events.Part {
			return events.Part{Name: "asked", Run: untilStopped, Health: func(context.Context) error { return err }}
		}
		must(t, e.Add(asked(behind)))
		must(t, e.Add(events.Part{Name: "panics", Run: untilStopped, Health: func(context.Context) error { panic("boom") }}))
		well := asked(nil)
		well.Name = "well"
		must(t, e.Add(well))
		if h := e.Health(t.Context()); !h.OK || h.Parts[0].Status != events.StatusIdle {
			t.Errorf("before Run: %+v", h)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		synctest.Wait()
		h := e.Health(t.Context())
		stop()
		must(t, <-done)
		text, err := json.Marshal(h)
		must(t, err)
		for _, phrase := range []string{
			`"ok":false`, `"backend":"memory"`, `{"name":"asked","status":"failed","error":"far behind"}`,
			`{"name":"panics","status":"failed","error":"health: panic: boom"}`, `{"name":"well","status":"running"}`,
		} {
			if !strings.Contains(string(text), phrase) {
				t.Errorf("the report lacks %s:\n%s", phrase, text)
			}
		}
	})
}

// runner is a named part that runs until it is stopped.
type runner struct{ name string }

func (r runner) Name() string                  { return r.name }
func (r runner) Run(ctx context.Context) error { return untilStopped(ctx) }
func (r runner) Health(context.Context) error  { return errors.New(r.name + " limps") }

func TestRunnersArePartsUnderTheirOwnNames(t *testing.T) {
	e := events.Stub()
	must(t, e.AddRunners(runner{"mailer"}, runner{"orders"}))
	wantError(t, e.AddRunners(runner{"mailer"}, runner{"new"}), nil, "mailer", "there is a part of that name")
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- e.Run(ctx) }()
	for {
		if h := e.Health(t.Context()); len(h.Parts) == 3 && h.Parts[0].Status == events.StatusFailed {
			if h.OK || h.Parts[0].Error != "mailer limps" || h.Parts[2].Name != "new" {
				t.Errorf("got %+v", h)
			}
			break
		}
	}
	stop()
	must(t, <-ran)
	must(t, e.Close())
}

func TestTheBrokerOfTheEngineIsPartOfItsHealthAndClosedWithIt(t *testing.T) {
	e := events.Stub()
	must(t, e.Broker().Publish(t.Context(), broker.Message{ID: "1", Topic: "x"}))
	if h := e.Health(t.Context()); !h.OK || h.Broker.Broker != "memory" {
		t.Errorf("got %+v", h)
	}
	must(t, e.Close())
	if h := e.Health(t.Context()); h.OK || h.Broker.Error == "" {
		t.Errorf("closed: got %+v", h)
	}
	wantError(t, e.Broker().Publish(t.Context(), broker.Message{ID: "2", Topic: "x"}), broker.ErrClosed)
}

func TestTheEngineKnowsTheDeadLettersOfItsStore(t *testing.T) {
	e := events.Stub()
	defer e.Close()
	ops, err := e.DeadLetters().Park(t.Context(), deadletter.Letter{
		Source: "test", Message: &deadletter.Message{ID: "1", Topic: "x"}, Error: "no",
	})
	must(t, err)
	_, err = e.Store().Apply(t.Context(), ops...)
	must(t, err)
	if n, err := e.DeadLetters().Count(t.Context(), deadletter.Filter{}); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}
