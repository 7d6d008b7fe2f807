package projection

import (
	"context"
	"errors"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// Delete forgets a projection that nobody runs: its documents, its place in the log, its dead letters. What it keeps
// elsewhere, such as tables, stays. It gives subscription.ErrRunning while a process runs it; one that begins meanwhile
// cannot write any more, and Delete is to be called again when it has ended.
func (c *Control) Delete(ctx context.Context, name string) error {
	return c.explain(ctx, "delete", name, c.delete(ctx, name))
}

func (c *Control) delete(ctx context.Context, name string) error {
	found, err := loadCatalog(ctx, c.store, name)
	if err != nil {
		return err
	}
	all := append(found.followed(), found.Dropping...)
	for _, g := range all {
		if err := c.idle(ctx, name, g); err != nil {
			return err
		}
	}
	// Without gates nothing is written any more, so that what is removed stays so.
	found, err = change(ctx, c.store, name, func(c *catalog) (ops []store.Op, err error) {
		for _, g := range c.followed() {
			ops = append(ops, removeGates(name, g)...)
		}
		return ops, nil
	})
	if err != nil {
		return err
	}
	p := &Projection{name: name, store: c.store, options: Options{DeadLetters: deadletter.New(c.store, deadletter.Options{})}}
	for _, g := range append(found.followed(), found.Dropping...) {
		if gone, err := p.clear(ctx, g); err != nil {
			return err
		} else if !gone {
			return subscription.ErrRunning
		}
		if _, err := c.store.Apply(ctx, store.Delete(markBucket, g.markKey(name))); err != nil {
			return err
		}
	}
	_, err = c.store.Apply(ctx, store.Delete(catalogBucket, name), store.Delete(progressBucket, name))
	return err
}

// idle gives subscription.ErrRunning where somebody handles events for a generation.
func (c *Control) idle(ctx context.Context, name string, g Generation) error {
	status, err := subscription.NewControl(c.store).Status(ctx, g.subscription(name))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, subscription.ErrCheckpoint) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, partition := range status.Partitions {
		if partition.Owner != "" {
			return subscription.ErrRunning
		}
	}
	return nil
}
