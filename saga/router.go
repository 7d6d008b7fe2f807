package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// reactor is a definition that events reach: a *Manager.
type reactor interface {
	Definer
	eventTypes() []string
	parts(e *event.Recorded) ([]any, error)
	route(value any) (id string, starts, keep bool, err error)
	react(s *state, now time.Time, e *event.Recorded, part int) ([]*entry, error)
	initial() (json.RawMessage, error)
	encode(value any) (event.Pending, error)
	decode(command *message) (any, error)
}

// newRouter makes the subscription that brings events to the instances of a process manager, in the order of the log.
func (s *service) newRouter(o subscription.Options) (*subscription.Subscription, error) {
	types := map[string]bool{}
	for _, definition := range s.versions {
		for _, name := range definition.(reactor).eventTypes() {
			types[name] = true
		}
	}
	o.Filter = store.Filter{Query: store.Query{{Types: slices.Sorted(maps.Keys(types))}}}
	o.Partitions = 1 // one order for all events, whatever streams they are of
	o.DeadLetters, o.Source = s.o.DeadLetters, "saga/"+s.name
	return subscription.New(s.log, "events of saga "+s.name, subscription.Handler(s.bring), o)
}

// bring lets instances react to an event, or to one value after the other that it is read as. The first has the event's
// id, the others ids that are derived from it, so that each is brought once.
func (s *service) bring(ctx context.Context, e event.Recorded) error {
	newest := s.newest().(reactor)
	values, err := newest.parts(&e)
	for part := 0; part < len(values) && err == nil; part++ {
		own := e
		if part > 0 {
			own.ID = event.DerivedID(e.ID, fmt.Sprintf("part %d", part))
		}
		err = s.bringPart(ctx, newest, own, part, values[part])
	}
	return err
}

// routes lists the instances that an event belongs to.
func (s *service) routes(e *event.Recorded) (ids []string, err error) {
	newest := s.newest().(reactor)
	values, err := newest.parts(e)
	for _, value := range values {
		id, _, _, err := newest.route(value)
		if err != nil {
			return nil, err
		}
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// bringPart lets an instance react: the reaction, with the event's id, is one append. Again where the instance has changed
// meanwhile.
func (s *service) bringPart(ctx context.Context, newest reactor, e event.Recorded, part int, value any) error {
	id, starts, keep, err := newest.route(value)
	if err != nil || id == "" {
		return err
	}
	if err := validateID("correlation", id); err != nil {
		return Permanent(err)
	}
	for {
		err := s.tryToBring(ctx, newest, e, part, id, starts, keep)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func (s *service) tryToBring(ctx context.Context, newest reactor, e event.Recorded, part int, id string, starts, keep bool) error {
	st, err := load(ctx, s.log, s.name, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if st.handled[e.ID] || st.phase == phaseEnded || st.finish {
		return nil
	}
	draft := newDraft(st, s.o.Now())
	trigger := &trigger{ID: e.ID, Type: e.Type, Stream: e.Stream, Position: e.Position, Part: part}
	own := event.DerivedID(event.DerivedID(event.ID{}, string(st.stream)), "event "+e.ID.String())
	switch {
	case st.phase != phaseNone:
		definition, here := s.versions[st.definition].(reactor)
		if !here || len(st.kept) > 0 { // what came before it comes first
			if err := s.keep(draft, own, trigger, &e); err != nil {
				return err
			}
			break
		}
		if err := react(draft, definition, own, trigger, &e); err != nil {
			return err
		}
	case starts:
		if err := s.begin(draft, newest, own, trigger, &e); err != nil {
			return err
		}
	case keep:
		if err := s.keep(draft, own, trigger, &e); err != nil {
			return err
		}
	default:
		return nil
	}
	return draft.append(ctx, s.log, false)
}

// keep takes an event down that is reacted to later.
func (s *service) keep(draft *draft, own event.ID, t *trigger, e *event.Recorded) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return draft.add(&entry{kind: typeKept, id: own, Trigger: t, Data: raw, Retention: s.o.Retention})
}

// begin starts an instance, which reacts to what starts it and then to what came too early.
func (s *service) begin(draft *draft, newest reactor, own event.ID, t *trigger, e *event.Recorded) error {
	kept := slices.Clone(draft.kept)
	data, err := newest.initial()
	origin, unreadable := e.Metadata()
	if err = errors.Join(err, unreadable); err == nil {
		err = draft.add(s.started(newest, "", origin, data))
	}
	if err == nil {
		err = react(draft, newest, own, t, e)
	}
	for _, early := range kept {
		if err != nil || draft.finish {
			break
		}
		var recorded event.Recorded
		if err = json.Unmarshal(early.data, &recorded); err == nil {
			err = react(draft, newest, event.ID{}, &early.trigger, &recorded)
		}
	}
	return err
}

func react(draft *draft, definition reactor, own event.ID, t *trigger, e *event.Recorded) error {
	entries, err := definition.react(draft.state, draft.now, e, t.Part)
	if err != nil {
		return fmt.Errorf("saga %s/%s: react to %s: %w", draft.saga, draft.id, e.Type, err)
	}
	entries[0].id, entries[0].Trigger = own, t
	return draft.add(entries...)
}
