package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/store"
)

// switchPatience is how long writers of the live generation are held at the most while another one takes its place.
const switchPatience = 5 * time.Second

// turn makes the generation that was asked for the live one, if it is as far:
//
//  1. the gates of the live one are held, so from now on it does not move;
//  2. the other one handles what it has not handled yet of what the live one had;
//  3. in one unit the catalog says that the other one is live, and the gates are opened again.
//
// So whoever has seen an event in the read model sees it after the switch, too. When this process dies in the middle
// whoever comes next goes on, since the catalog says what was asked for.
func (r *runner) turn(ctx context.Context, c *catalog) (again bool, err error) {
	p := r.projection
	g, ok := c.find(c.Switch)
	if !ok || g.Number == c.Live.Number {
		return r.giveUp(ctx, c)
	}
	if g.Mode == Inline && c.Live.Mode == Inline { // they move together, in one transaction with the log
		live, err := p.farthest(ctx, c.Live)
		if err != nil {
			return false, err
		}
		if all, _, err := positions(ctx, p.store, p.name, g); err != nil || all < live {
			return false, err
		}
		return r.finish(ctx, c, g)
	}
	near, err := r.near(ctx, c, g)
	if err != nil || !near {
		return false, errors.Join(err, r.release(ctx, c))
	}
	put, err := c.put(p.name)
	if err != nil {
		return false, err
	}
	check := store.Check(put.Bucket, put.Key, put.If)
	if _, err := p.store.Apply(ctx, append([]store.Op{check}, holdGates(p.name, c.Live)...)...); err != nil {
		return errors.Is(err, store.ErrConflict), ignoreConflict(err)
	}
	limit, cancel := context.WithTimeout(ctx, switchPatience)
	defer cancel()
	for {
		near, err := r.near(limit, c, g)
		if err != nil {
			return false, errors.Join(err, r.release(context.WithoutCancel(ctx), c))
		}
		if near {
			return r.finish(ctx, c, g)
		}
		if err := wait(limit, nil, gatePoll); err != nil {
			return false, r.release(context.WithoutCancel(ctx), c)
		}
	}
}

// near reports whether a generation is as far as the live one was just before.
func (r *runner) near(ctx context.Context, c *catalog, g Generation) (bool, error) {
	live, err := r.projection.farthest(ctx, c.Live)
	if err != nil {
		return false, err
	}
	all, _, err := positions(ctx, r.projection.store, r.projection.name, g)
	return all >= live, err
}

// release opens the gates of the live generation, if this or another attempt has left them held.
func (r *runner) release(ctx context.Context, c *catalog) error {
	gate := gate{store: r.projection.store, name: gateName(r.projection.name, c.Live, 0)}
	open, err := gate.look(ctx)
	if err != nil || open {
		return err
	}
	put, err := c.put(r.projection.name)
	if err != nil {
		return err
	}
	check := store.Check(put.Bucket, put.Key, put.If)
	_, err = r.projection.store.Apply(ctx, append([]store.Op{check}, openGates(r.projection.name, c.Live)...)...)
	return ignoreConflict(err)
}

func ignoreConflict(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// giveUp takes back a request that makes no sense any more.
func (r *runner) giveUp(ctx context.Context, seen *catalog) (again bool, err error) {
	_, err = change(ctx, r.projection.store, r.projection.name, func(c *catalog) ([]store.Op, error) {
		if c.Switch != seen.Switch {
			return nil, errUnchanged
		}
		c.Switch = 0
		return openGates(r.projection.name, c.Live), nil
	})
	return err == nil, err
}

// finish makes a generation the live one, unless the catalog has changed since it was seen.
func (r *runner) finish(ctx context.Context, seen *catalog, g Generation) (again bool, err error) {
	p := r.projection
	c, err := loadCatalog(ctx, p.store, p.name)
	if err != nil || c.revision != seen.revision {
		return err == nil, err
	}
	from := c.Live
	ops := c.enthrone(p.name, g, p.options.KeepPrevious)
	put, err := c.put(p.name)
	if err != nil {
		return false, err
	}
	ops = append([]store.Op{put, store.Delete(progressBucket, p.name)}, ops...)
	apply := func(ctx context.Context) error {
		if p.options.OnSwitch != nil {
			if err := p.options.OnSwitch(ctx, from, g); err != nil {
				return fmt.Errorf("OnSwitch: %w", err)
			}
		}
		_, err := p.store.Apply(ctx, ops...)
		return err
	}
	if p.options.OnSwitch != nil {
		err = p.store.Transact(ctx, apply)
	} else {
		err = apply(ctx)
	}
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return false, errors.Join(err, r.release(context.WithoutCancel(ctx), seen))
	}
	return true, nil
}
