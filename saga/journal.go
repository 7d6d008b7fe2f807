package saga

import (
	"context"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// load folds an instance. One that never was gives ErrUnknown, together with an empty state.
func load(ctx context.Context, log *store.Store, saga, id string) (*state, error) {
	s := newState(saga, id)
	for r, err := range log.ReadStream(ctx, store.StreamRead{Stream: s.stream}) {
		if err != nil {
			return nil, err
		}
		if r.IsTombstone() { // the retention is over
			s.phase, s.expired, s.version = phaseEnded, true, r.Version
			continue
		}
		e, err := decodeEntry(&r)
		if err != nil {
			return nil, err
		}
		if err := s.fold(e); err != nil {
			return nil, err
		}
		s.version = r.Version
	}
	if s.version == 0 {
		return s, ErrUnknown
	}
	return s, nil
}

// draft is what will be appended to an instance at once. What is added is folded into the state at the same time, which is
// void when the append is refused.
type draft struct {
	*state
	base    event.Version
	now     time.Time
	entries []*entry
	begun   map[int]bool // tasks that begin with it
}

func newDraft(s *state, now time.Time) *draft {
	return &draft{state: s, base: s.version, now: now.UTC().Truncate(time.Microsecond)}
}

func (d *draft) add(entries ...*entry) error {
	for _, e := range entries {
		e.at = d.now
		if e.id.IsZero() {
			e.id = event.NewID()
		}
		if err := d.fold(e); err != nil {
			return err
		}
		d.entries = append(d.entries, e)
		switch e.kind {
		case typeStepStarted, typeCompensationStarted:
			d.begin(len(d.tasks))
		case typeAttempted:
			d.begin(e.Tasks...)
		}
	}
	return nil
}

func (d *draft) begin(tasks ...int) {
	if d.begun == nil {
		d.begun = map[int]bool{}
	}
	for _, number := range tasks {
		d.begun[number] = true
	}
}

// commit gives what to append. urgent is set where the owner of the instance has to look at what follows.
func (d *draft) commit(urgent bool) (store.Commit, error) {
	was := d.indexed
	if now := d.summarize(d.now, urgent); now != was && len(d.entries) > 0 {
		last := d.entries[len(d.entries)-1]
		last.Now = &now
		if was != (summary{}) {
			last.Was = &was
		}
		d.indexed = now
	}
	m := d.metadata()
	events := make([]event.Pending, len(d.entries))
	for i, e := range d.entries {
		var err error
		if events[i], err = e.pending(m); err != nil {
			return store.Commit{}, fmt.Errorf("saga %s/%s: %w", d.saga, d.id, err)
		}
	}
	return store.Commit{Appends: []store.Append{{Stream: d.stream, Expected: store.Exactly(d.base), Events: events}}}, nil
}

// append appends the draft, once.
func (d *draft) append(ctx context.Context, log *store.Store, urgent bool) error {
	c, err := d.commit(urgent)
	if err != nil || len(d.entries) == 0 {
		return err
	}
	_, err = log.Commit(ctx, c)
	return err
}
