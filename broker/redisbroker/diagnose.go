package redisbroker

import (
	"context"

	"lexigram.dev/events/checkup"
)

// Diagnose implements broker.Diagnoser.
func (b *Backend) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	facts, err := b.askServer(ctx)
	if err != nil {
		return nil, err
	}
	node, err := b.node(ctx, "")
	if err != nil {
		return nil, translate(ctx, err)
	}
	var found []checkup.Finding
	err = b.during(ctx, func() (err error) {
		found, err = facts.Examine(ctx, node, things, b.keysOf("").topic())
		return err
	})
	if err != nil {
		return nil, translate(ctx, err)
	}
	return found, nil
}
