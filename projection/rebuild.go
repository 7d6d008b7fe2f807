package projection

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// progressBucket holds the last report of each rebuild, by the name of the projection.
const progressBucket = "projections.progress"

// Progress is a report on a generation that is being built.
type Progress struct {
	Generation int64          `json:"generation"`
	Version    int            `json:"version"`
	Position   event.Position `json:"position"`
	Head       event.Position `json:"head"`
	Rate       float64        `json:"rate"`    // positions in a second, since its owner has begun
	Left       time.Duration  `json:"left_ns"` // until it is at the head, at this rate; 0: not known
	At         time.Time      `json:"at"`
}

// watch reports on the generation that is built, and asks for the switch when it is as far as the live one.
func (r *runner) watch(ctx context.Context, c *catalog) (again bool, err error) {
	p, g := r.projection, *c.Building
	live, err := p.farthest(ctx, c.Live)
	if err != nil {
		return false, err
	}
	built, _, err := positions(ctx, p.store, p.name, g)
	if err != nil {
		return false, err
	}
	head, err := p.store.Head(ctx)
	if err != nil {
		return false, err
	}
	if m := r.running[g.Number]; m != nil {
		if err := r.tell(ctx, m, built, head); err != nil {
			return false, err
		}
	}
	if built < live || built == 0 && head > 0 {
		return false, nil
	}
	seen := r.head
	r.head = head
	if _, followed := r.running[c.Live.Number]; !followed && (seen == 0 && head > 0 || built < seen) {
		return false, nil // the live one may stand still for ever: what counts then is the head, a moment ago
	}
	_, err = change(ctx, p.store, p.name, func(c *catalog) ([]store.Op, error) {
		if c.Building == nil || c.Building.Number != g.Number || c.Switch != 0 {
			return nil, errUnchanged
		}
		c.Switch = g.Number
		return nil, nil
	})
	return err == nil, err
}

func (p *Projection) farthest(ctx context.Context, g Generation) (event.Position, error) {
	_, farthest, err := positions(ctx, p.store, p.name, g)
	return farthest, err
}

// tell writes the report.
func (r *runner) tell(ctx context.Context, m *making, built, head event.Position) error {
	p := r.projection
	now := p.options.Now()
	if m.begun.IsZero() {
		m.begun, m.from = now, built
	}
	progress := Progress{Generation: m.generation.Number, Version: m.generation.Version, Position: built, Head: head, At: now.UTC()}
	if took := now.Sub(m.begun); took > 0 && built > m.from {
		progress.Rate = float64(built-m.from) / took.Seconds()
		progress.Left = time.Duration(float64(head-built) / progress.Rate * float64(time.Second))
	}
	value, err := json.Marshal(progress)
	if err != nil {
		return err
	}
	if _, err := p.store.Apply(ctx, store.Put(progressBucket, p.name, value)); err != nil {
		return err
	}
	if p.options.OnProgress != nil {
		p.options.OnProgress(p.name, progress)
	}
	return nil
}

func loadProgress(ctx context.Context, s *store.Store, name string) (Progress, error) {
	var progress Progress
	r, err := s.Get(ctx, progressBucket, name)
	if errors.Is(err, store.ErrNotFound) {
		return progress, nil
	}
	if err == nil {
		err = json.Unmarshal(r.Value, &progress)
	}
	return progress, err
}
