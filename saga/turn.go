package saga

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
)

// Turn is one call of a process manager's handler: it gives the state, and takes what is decided.
type Turn[S any] struct {
	ID    string         // of the instance: what the event was correlated to
	State S              // what it carries; change it in place
	Event event.Recorded // that is reacted to; the zero value in OnTimeout
	Now   time.Time

	registry  *schema.Registry
	effects   []*entry
	completed bool
	faults    []error
}

// Send requests a command, of a type that is registered. Commands of an instance go out one after the other, each at least
// once, with a key that its handler finds by InfoFrom. One that fails for good makes the instance StatusFailed.
func (t *Turn[S]) Send(command any) {
	encoded, err := t.registry.Encode(command)
	if err != nil {
		t.faults = append(t.faults, fmt.Errorf("send a command: %w", err))
		return
	}
	t.effects = append(t.effects, &entry{kind: typeCommandRequested, Step: encoded.Type, Command: encodeMessage(&encoded)})
}

// SetTimer lets the handler of OnTimeout be called after a time, once. A timer of the same name is set anew.
func (t *Turn[S]) SetTimer(name string, after time.Duration) {
	t.effects = append(t.effects, &entry{kind: typeTimerSet, Timer: name, Due: t.Now.Add(after).UTC().Truncate(time.Microsecond)})
}

// CancelTimer takes a timer back; one that is not set is fine.
func (t *Turn[S]) CancelTimer(name string) {
	t.effects = append(t.effects, &entry{kind: typeTimerCancelled, Timer: name})
}

// Complete ends the instance, once the commands that it has requested are confirmed. Later events are not for it any more.
func (t *Turn[S]) Complete() { t.completed = true }

// Handler is one row of a process manager.
type Handler[S any] struct {
	starts, keep bool
	eventTypes   func(*schema.Registry) ([]string, error)
	takes        reflect.Type // the Go type of its events
	correlate    func(e any) string
	react        func(t *Turn[S], e any) error

	timer   string
	timeout func(*Turn[S]) error
}

// Starts makes a handler of events that begin an instance, or reach one that has begun. The correlation says which one; ""
// means that the event is of no concern.
func Starts[E, S any](correlate func(e E) string, react func(t *Turn[S], e E) error) Handler[S] {
	h := On(correlate, react)
	h.starts = true
	return h
}

// On makes a handler of events that reach an instance. One that comes before the instance has begun, or after its end, is
// passed over.
func On[E, S any](correlate func(e E) string, react func(t *Turn[S], e E) error) Handler[S] {
	return Handler[S]{
		eventTypes: schema.NamesFor[E],
		takes:      baseOf(reflect.TypeFor[E]()),
		correlate:  func(e any) string { return correlate(valueOf[E](e)) },
		react:      func(t *Turn[S], e any) error { return react(t, valueOf[E](e)) },
	}
}

// OnEarly is On for events that may come before those that start the instance: they are kept until it does.
func OnEarly[E, S any](correlate func(e E) string, react func(t *Turn[S], e E) error) Handler[S] {
	h := On(correlate, react)
	h.keep = true
	return h
}

// OnTimeout makes the handler of a timer.
func OnTimeout[S any](timer string, handle func(t *Turn[S]) error) Handler[S] {
	return Handler[S]{timer: timer, timeout: handle}
}

// baseOf is what a pointer type points to, and any other type itself.
func baseOf(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// valueOf gives an event as the type that the handler wants: registered as a value or as a pointer, it fits both.
func valueOf[E any](e any) E {
	if value, ok := e.(E); ok {
		return value
	}
	r := reflect.ValueOf(e)
	if r.Kind() == reflect.Pointer {
		return r.Elem().Interface().(E)
	}
	pointer := reflect.New(r.Type())
	pointer.Elem().Set(r)
	return pointer.Interface().(E)
}

func encodeMessage(p *event.Pending) *message {
	m := &message{Name: p.Type, Version: p.SchemaVersion, ContentType: p.ContentType}
	if p.ContentType == event.JSON && json.Valid(p.Data) {
		m.Data = p.Data
	} else {
		m.Bytes = p.Data
	}
	return m
}

func (m *message) decode(r *schema.Registry) (any, error) {
	if m == nil {
		return nil, fmt.Errorf("command: %w: there is none", ErrRefused)
	}
	data := m.Bytes
	if m.Data != nil {
		data = m.Data
	}
	return r.Decode(&event.Recorded{Type: m.Name, SchemaVersion: m.Version, ContentType: m.ContentType, Data: data})
}
