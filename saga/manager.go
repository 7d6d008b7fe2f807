package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Manager is a process manager that carries an S: it reacts to events and timers by commands, timers and changes of S. It
// is safe for concurrent use.
type Manager[S any] struct {
	name     string
	version  int
	handlers []Handler[S]
	timeouts map[string]func(*Turn[S]) error
	registry *schema.Registry
	bus      Dispatcher
}

// Manage makes a process manager from a table of handlers, made by Starts, On and OnTimeout. Handlers decide and do no
// more: they may be called again for the same event until what they decided is stored.
//
// The registry names the events, and the commands too: register both. The bus takes the commands. All faults are reported
// together, as store.ErrInvalid.
func Manage[S any](name string, version int, registry *schema.Registry, bus Dispatcher, handlers ...Handler[S]) (*Manager[S], error) {
	m := &Manager[S]{name: name, version: version, handlers: handlers, timeouts: map[string]func(*Turn[S]) error{}, registry: registry, bus: bus}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("define process manager %s: %w: %w", name, store.ErrInvalid, err)
	}
	return m, nil
}

func (m *Manager[S]) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := validateName(m.name); err != nil {
		faults = append(faults, err)
	}
	if m.version < 1 {
		fault("version %d: must be at least 1", m.version)
	}
	var zero S
	if _, err := json.Marshal(zero); err != nil {
		fault("data of type %T cannot be encoded: %w", zero, err)
	}
	if m.registry == nil || m.bus == nil {
		fault("a registry and a bus for the commands are needed")
		return errors.Join(faults...)
	}
	starts := false
	seen := map[reflect.Type]bool{}
	for _, h := range m.handlers {
		if h.timer != "" {
			if m.timeouts[h.timer] != nil {
				fault("timer %q: there are two handlers", h.timer)
			}
			m.timeouts[h.timer] = h.timeout
			continue
		}
		starts = starts || h.starts
		names, err := h.eventTypes(m.registry)
		if err != nil {
			faults = append(faults, err)
		} else if seen[h.takes] {
			fault("event %s: there are two handlers", names[0])
		}
		seen[h.takes] = true
	}
	if !starts {
		fault("no event starts it")
	}
	return errors.Join(faults...)
}

// Name gives the name.
func (m *Manager[S]) Name() string { return m.name }

func (m *Manager[S]) identity() (name string, version int)             { return m.name, m.version }
func (m *Manager[S]) style() string                                    { return styleManager }
func (m *Manager[S]) sequential() bool                                 { return true }
func (m *Manager[S]) signals() []string                                { return nil }
func (m *Manager[S]) accepts(json.RawMessage) error                    { return nil }
func (m *Manager[S]) retry(_ *task, o *Options) (Retry, time.Duration) { return o.Retry, o.Timeout }

// do dispatches a command.
func (m *Manager[S]) do(ctx context.Context, t *task, data json.RawMessage) (before, after json.RawMessage, err error) {
	command, err := m.decode(t.command)
	if err != nil {
		return nil, nil, Permanent(err)
	}
	_, err = m.bus.Dispatch(ctx, command)
	return data, data, err
}

// plan reacts to events that were kept, fires timers that are due, the earliest first, and sees whether the end has come.
func (m *Manager[S]) plan(s *state, env *planning) ([]*entry, error) {
	open := false
	for _, t := range s.tasks {
		switch {
		case t.status == taskFailed:
			return []*entry{{kind: typeEnded, Status: StatusFailed, Reason: fmt.Sprintf("command %s: %s", t.step, t.err)}}, nil
		case t.open():
			open = true
		}
	}
	if s.finish {
		if open {
			return nil, nil
		}
		return []*entry{{kind: typeEnded, Status: StatusCompleted}}, nil
	}
	if len(s.kept) > 0 {
		return m.reactToKept(s, env.now)
	}
	timers := slices.Clone(s.timers)
	slices.SortStableFunc(timers, func(a, b timer) int { return a.due.Compare(b.due) })
	if len(timers) == 0 || timers[0].due.After(env.now) {
		return nil, nil
	}
	first := timers[0]
	fired := &entry{kind: typeTimerFired, Timer: first.name, Due: first.due}
	handle := m.timeouts[first.name]
	if handle == nil {
		return nil, fmt.Errorf("timer %s: version %d has no handler of it; it has %v", first.name, m.version, slices.Sorted(maps.Keys(m.timeouts)))
	}
	entries, err := m.turn(s, env.now, event.Recorded{}, handle)
	if err != nil {
		return nil, fmt.Errorf("timer %s: %w", first.name, err)
	}
	return append([]*entry{fired}, entries...), nil
}

// turn calls a handler and gives what it decides. The first entry is the reaction itself.
func (m *Manager[S]) turn(s *state, now time.Time, e event.Recorded, handle func(*Turn[S]) error) (entries []*entry, err error) {
	defer func() {
		if value := recover(); value != nil {
			entries, err = nil, panics.New("process manager "+m.name, value)
		}
	}()
	t := &Turn[S]{ID: s.id, Event: e, Now: now, registry: m.registry}
	if len(s.data) > 0 {
		if t.State, err = decodeData[S](s.data); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(handle(t), errors.Join(t.faults...)); err != nil {
		return nil, err
	}
	after, err := json.Marshal(t.State)
	if err != nil {
		return nil, fmt.Errorf("the state cannot be encoded: %w", err)
	}
	reaction := &entry{kind: typeReacted}
	change(reaction, s.data, after)
	if t.completed {
		reaction.Status = StatusCompleted
	}
	return append([]*entry{reaction}, t.effects...), nil
}

// handler finds the handler of an event.
func (m *Manager[S]) handler(value any) *Handler[S] {
	is := baseOf(reflect.TypeOf(value))
	for i := range m.handlers {
		if m.handlers[i].takes == is {
			return &m.handlers[i]
		}
	}
	return nil
}

// eventTypes lists under which names the events are stored that it reacts to.
func (m *Manager[S]) eventTypes() []string {
	var names []string
	for _, h := range m.handlers {
		if h.timer == "" {
			if found, err := h.eventTypes(m.registry); err == nil {
				names = append(names, found...)
			}
		}
	}
	return names
}

// parts gives the values that a stored event is read as.
func (m *Manager[S]) parts(e *event.Recorded) ([]any, error) { return m.registry.DecodeAll(e) }

// route says to which instance an event belongs ("": none), and whether it begins one.
func (m *Manager[S]) route(value any) (id string, starts, keep bool, err error) {
	h := m.handler(value)
	if h == nil {
		return "", false, false, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = panics.New(fmt.Sprintf("correlate %T", value), p)
		}
	}()
	return h.correlate(value), h.starts, h.keep, nil
}

// react gives what the handler of an event, or of one of the values that it is read as, decides.
func (m *Manager[S]) react(s *state, now time.Time, e *event.Recorded, part int) ([]*entry, error) {
	values, err := m.parts(e)
	if err != nil {
		return nil, err
	}
	if part >= len(values) {
		return nil, fmt.Errorf("event %s at position %d is read as %d values now, and this is value %d", e.Type, e.Position, len(values), part+1)
	}
	h := m.handler(values[part])
	if h == nil {
		return []*entry{{kind: typeReacted}}, nil // of a newer version; this instance has an older one
	}
	return m.turn(s, now, *e, func(t *Turn[S]) error { return h.react(t, values[part]) })
}

// reactToKept gives the reaction to the first of the events that came while the definition was missing.
func (m *Manager[S]) reactToKept(s *state, now time.Time) ([]*entry, error) {
	kept := s.kept[0]
	var e event.Recorded
	if err := json.Unmarshal(kept.data, &e); err != nil {
		return nil, fmt.Errorf("event %s that was kept: %w: %w", kept.trigger.Type, store.ErrCorrupt, err)
	}
	entries, err := m.react(s, now, &e, kept.trigger.Part)
	if err != nil {
		return nil, fmt.Errorf("react to %s: %w", e.Type, err)
	}
	entries[0].Trigger = &kept.trigger
	return entries, nil
}

func (m *Manager[S]) encode(value any) (event.Pending, error) { return m.registry.Encode(value) }
func (m *Manager[S]) decode(command *message) (any, error)    { return command.decode(m.registry) }

func (m *Manager[S]) initial() (json.RawMessage, error) {
	var zero S
	return json.Marshal(zero)
}
