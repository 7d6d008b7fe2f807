package redisstore

import (
	"context"

	"lexigram.dev/events/store"
)

// Append implements store.Log.
func (b *Backend) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	if err := b.writable(ctx); err != nil {
		return store.Result{}, err
	}
	return b.writer.submit(ctx, c)
}

// committed wakes followers of this process; the script has told others.
func (b *Backend) committed() { b.wake.rouse() }
