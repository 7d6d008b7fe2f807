package redisstore

import (
	"context"

	"lexigram.dev/events/checkup"
)

// Diagnose implements store.Diagnoser.
func (b *Backend) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	facts, err := b.askServer(ctx)
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	node, err := b.node(ctx, b.reads)
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	var found []checkup.Finding
	err = b.during(ctx, func() (err error) {
		found, err = facts.Examine(ctx, node, things, b.keys.meta)
		return err
	})
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return found, nil
}
