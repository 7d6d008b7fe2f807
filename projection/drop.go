package projection

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// remove removes what a dropped generation has left. Its gates are gone, so nothing is added any more. It reports whether
// the generation is off the list.
func (p *Projection) remove(ctx context.Context, g Generation) (done bool, err error) {
	if gone, err := p.clear(ctx, g); err != nil || !gone {
		return false, err
	}
	_, err = change(ctx, p.store, p.name, func(c *catalog) ([]store.Op, error) {
		for i := range c.Dropping {
			if c.Dropping[i].Number == g.Number {
				c.Dropping = append(c.Dropping[:i], c.Dropping[i+1:]...)
				return []store.Op{store.Delete(markBucket, g.markKey(p.name))}, nil
			}
		}
		return nil, errUnchanged
	})
	return err == nil, err
}

// clear removes what a generation whose gates are gone has left: its place in the log, documents, dead letters, and what
// Options.Drop knows of. It reports false, and has removed nothing, while another process still runs it.
func (p *Projection) clear(ctx context.Context, g Generation) (gone bool, err error) {
	if g.Mode == Async {
		if gone, err := p.unsubscribe(ctx, g); err != nil || !gone {
			return false, err
		}
	}
	for _, name := range g.Documents {
		bucket := g.bucket(p.name, name)
		if err := errors.Join(empty(ctx, p.store, bucket+"/index"), empty(ctx, p.store, bucket)); err != nil {
			return false, err
		}
	}
	if p.options.Drop != nil {
		if err := p.transact(ctx, func(ctx context.Context) error { return p.options.Drop(ctx, g) }); err != nil {
			return false, fmt.Errorf("drop generation %d: %w", g.Number, err)
		}
	}
	return true, p.discard(ctx, g)
}

// unsubscribe forgets the place in the log. It reports false while another process still runs the generation.
func (p *Projection) unsubscribe(ctx context.Context, g Generation) (gone bool, err error) {
	err = subscription.NewControl(p.store).Delete(ctx, g.subscription(p.name))
	switch {
	case errors.Is(err, subscription.ErrRunning):
		return false, nil
	case errors.Is(err, store.ErrNotFound):
		return true, nil
	}
	return err == nil, err
}

// discard removes the dead letters of a dropped generation: nobody can retry them.
func (p *Projection) discard(ctx context.Context, g Generation) error {
	if p.options.DeadLetters == nil {
		return nil
	}
	var ids []string
	for letter, err := range p.options.DeadLetters.List(ctx, deadletter.Filter{Source: g.source(p.name)}) {
		if err != nil {
			return err
		}
		ids = append(ids, letter.ID)
	}
	for _, id := range ids {
		if err := p.options.DeadLetters.Discard(ctx, id); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// empty removes all records of a bucket.
func empty(ctx context.Context, s *store.Store, bucket string) error {
	size := min(1000, s.Limits().MaxBatchOps)
	for {
		var ops []store.Op
		for r, err := range s.Scan(ctx, store.Scan{Bucket: bucket, Limit: size}) {
			if err != nil {
				return err
			}
			ops = append(ops, store.Delete(bucket, r.Key))
		}
		if _, err := s.Apply(ctx, ops...); err != nil || len(ops) < size {
			return err
		}
	}
}
