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
	route(e *event.Recorded) (id string, starts, keep bool, err error)
	react(s *state, now time.Time, e *event.Recorded) ([]*entry, error)
	initial() (json.RawMessage, error)
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

// bring lets an instance react to an event: the reaction, with the event's id, is one append. Again where the instance
// has changed meanwhile.
func (s *service) bring(ctx context.Context, e event.Recorded) error {
	newest := s.newest().(reactor)
	id, starts, keep, err := newest.route(&e)
	if err != nil || id == "" {
		return err
	}
	if err := validateID("correlation", id); err != nil {
		return Permanent(err)
	}
	for {
		err := s.tryToBring(ctx, newest, e, id, starts, keep)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func (s *service) tryToBring(ctx context.Context, newest reactor, e event.Recorded, id string, starts, keep bool) error {
	st, err := load(ctx, s.log, s.name, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if st.handled[e.ID] || st.phase == phaseEnded || st.finish {
		return nil
	}
	draft := newDraft(st, s.o.Now())
	trigger := &trigger{ID: e.ID, Type: e.Type, Stream: e.Stream, Position: e.Position}
	own := event.DerivedID(event.DerivedID(event.ID{}, string(st.stream)), "event "+e.ID.String())
	switch {
	case st.phase != phaseNone:
		definition, ok := s.versions[st.definition].(reactor)
		if !ok {
			return fmt.Errorf("saga %s/%s: %s", s.name, id, s.missing(st.definition))
		}
		if err := react(draft, definition, own, trigger, &e); err != nil {
			return err
		}
	case starts:
		if err := s.begin(draft, newest, own, trigger, &e); err != nil {
			return err
		}
	case keep:
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := draft.add(&entry{kind: typeKept, id: own, Trigger: trigger, Data: raw, Retention: s.o.Retention}); err != nil {
			return err
		}
	default:
		return nil
	}
	return draft.append(ctx, s.log, false)
}

// begin starts an instance, which reacts to what starts it and then to what came too early.
func (s *service) begin(draft *draft, newest reactor, own event.ID, t *trigger, e *event.Recorded) error {
	kept := slices.Clone(draft.kept)
	data, err := newest.initial()
	if err == nil {
		err = draft.add(s.started(newest, "", data))
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
	entries, err := definition.react(draft.state, draft.now, e)
	if err != nil {
		return fmt.Errorf("saga %s/%s: react to %s: %w", draft.saga, draft.id, e.Type, err)
	}
	entries[0].id, entries[0].Trigger = own, t
	return draft.add(entries...)
}
