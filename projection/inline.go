package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// markBucket holds how far each inline generation has come.
const markBucket = "projections.marks"

// mark is the place of an inline generation. All events up to Position are in the read model. It is written in the same
// transaction as that, and expects its own revision, so no event counts twice, whoever handles it.
type mark struct {
	Position event.Position `json:"position"`
	Active   bool           `json:"active"` // appends keep it at the head
	Error    string         `json:"error,omitempty"`
}

func loadMark(ctx context.Context, s *store.Store, name string, g Generation) (mark, store.Revision, error) {
	r, err := s.Get(ctx, markBucket, g.markKey(name))
	if errors.Is(err, store.ErrNotFound) {
		return mark{}, 0, nil
	}
	if err != nil {
		return mark{}, 0, err
	}
	var m mark
	if err := json.Unmarshal(r.Value, &m); err != nil || m.Position < 0 {
		return mark{}, 0, fmt.Errorf("place of projection %s, generation %d: %w: %q", name, g.Number, store.ErrCorrupt, r.Value)
	}
	return m, r.Revision, nil
}

func (g Generation) markKey(name string) string { return fmt.Sprintf("%s@%d", name, g.Number) }

func (m mark) put(name string, g Generation, expected store.Revision) store.Op {
	value, _ := json.Marshal(m) // a number, a truth and a string: cannot fail
	return store.Put(markBucket, g.markKey(name), value).When(store.IfRevision(expected))
}

// appended is called in the transaction of each append.
func (p *Projection) appended(ctx context.Context, events []event.Recorded) error {
	c, err := p.current(ctx)
	if err != nil {
		return err
	}
	for _, g := range c.followed() {
		if !p.runs(g) {
			continue
		}
		include := func() error { return p.include(ctx, c, g, events) }
		if p.options.Transaction { // what the handlers have written is there until the transaction ends: try all of it again
			err = include()
		} else {
			err = p.retried(include)
		}
		if err != nil {
			return fmt.Errorf("inline projection %s: %w", p.name, err)
		}
	}
	return nil
}

// retried calls fn again when it was too late for a record that somebody else has changed.
func (p *Projection) retried(fn func() error) error {
	for tries := 0; ; tries++ {
		err := fn()
		var conflict *store.RevisionError
		if !errors.As(err, &conflict) || tries == maxTries {
			return err
		}
	}
}

// include brings the events of an append into a generation, and those before that it has missed.
func (p *Projection) include(ctx context.Context, c *catalog, g Generation, events []event.Recorded) error {
	m, revision, err := loadMark(ctx, p.store, p.name, g)
	if err != nil {
		return err
	}
	missed := int(events[0].Position - 1 - m.Position)
	switch {
	case c.Paused, missed > p.options.InlineCatchUp && (!m.Active || g.Number != c.Live.Number):
		if !m.Active {
			return nil // it catches up beside the appends
		}
		m.Active = false
		_, err := p.store.Apply(ctx, m.put(p.name, g, revision))
		return err
	case missed > p.options.InlineCatchUp:
		return fmt.Errorf("%w: it stands at position %d and the append is at %d, since processes append that do not run it: "+
			"run its Set there, or pause and resume it, so that it catches up beside the appends", ErrBehind, m.Position, events[0].Position)
	case missed < 0:
		return nil // a transaction that began later has included them
	}
	if missed > 0 {
		before, err := p.between(ctx, m.Position+1, events[0].Position-1, 0)
		if err != nil {
			return err
		}
		events = append(before, events...)
	}
	return p.absorb(ctx, g, revision, events, mark{Position: events[len(events)-1].Position, Active: true})
}

// between gives the events of some positions that pass the filter.
func (p *Projection) between(ctx context.Context, from, to event.Position, limit int) ([]event.Recorded, error) {
	routes, err := p.routing()
	if err != nil {
		return nil, err
	}
	var events []event.Recorded
	for e, err := range p.store.ReadLog(ctx, store.LogRead{From: from, To: to, Limit: limit, Filter: routes.filter}) {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// absorb handles events and moves the mark, in the transaction at hand.
func (p *Projection) absorb(ctx context.Context, g Generation, revision store.Revision, events []event.Recorded, next mark) error {
	gate := gate{store: p.store, name: gateName(p.name, g, 0)}
	if open, err := gate.look(ctx); err != nil || !open {
		if errors.Is(err, ErrGone) {
			return nil
		}
		return err
	}
	w, err := p.newWorker(g, 0, p.store, len(events) < 1000)
	if err != nil {
		return err
	}
	passing := events[:0:0]
	for _, e := range events {
		if w.routes.filter.Matches(e.Stream, e.Type, e.Tags) {
			passing = append(passing, e)
		}
	}
	if _, err := w.handle(ctx, passing); err != nil {
		return errors.Join(p.moved(ctx, g, revision), err)
	}
	ops, err := w.flush()
	if err != nil {
		return err
	}
	_, err = p.store.Apply(ctx, append(ops, next.put(p.name, g, revision), gate.check())...)
	return err
}

// moved gives a conflict when the mark is not as it was seen: where transactions do not read all at one moment, documents
// may have been newer than it then, and what a handler makes of that counts for nothing.
func (p *Projection) moved(ctx context.Context, g Generation, seen store.Revision) error {
	_, revision, err := loadMark(ctx, p.store, p.name, g)
	if err == nil && revision != seen {
		err = &store.RevisionError{Bucket: markBucket, Key: g.markKey(p.name), Expected: seen, Actual: revision}
	}
	return err
}

// catchUp brings an inline generation to the head, beside the appends; from then on they keep it there. It ends when it is
// there.
func (p *Projection) catchUp(ctx context.Context, g Generation) error {
	size := p.options.BatchEvents
	for {
		var there bool
		err := p.retried(func() error {
			return p.store.Transact(ctx, func(ctx context.Context) (err error) {
				there, err = p.approach(ctx, g, size)
				return err
			})
		})
		switch {
		case errors.Is(err, errSplit) && size > 1:
			size /= 2
		case err != nil:
			return err
		case there:
			return nil
		}
	}
}

// approach handles some events. It reports whether the head was reached.
func (p *Projection) approach(ctx context.Context, g Generation, size int) (there bool, err error) {
	m, revision, err := loadMark(ctx, p.store, p.name, g)
	if err != nil {
		return false, err
	}
	head, err := p.store.Head(ctx)
	if err != nil || m.Position == head && m.Active {
		return true, err
	}
	var events []event.Recorded
	if m.Position < head {
		if events, err = p.between(ctx, m.Position+1, head, size); err != nil {
			return false, err
		}
	}
	next := mark{Position: head, Active: true}
	if len(events) == size { // there may be more
		next = mark{Position: events[size-1].Position}
	}
	return next.Active, p.absorb(ctx, g, revision, events, next)
}

// noteFault keeps why an inline generation does not come on, for reports.
func (p *Projection) noteFault(ctx context.Context, g Generation, fault error) error {
	return p.retried(func() error {
		m, revision, err := loadMark(ctx, p.store, p.name, g)
		if err != nil || m.Error == fault.Error() {
			return err
		}
		m.Error = fault.Error()
		_, err = p.store.Apply(ctx, m.put(p.name, g, revision))
		return err
	})
}
