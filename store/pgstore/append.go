package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Append implements store.Log: through the group, or in the transaction of ctx.
func (b *Backend) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	if err := b.writable(ctx); err != nil {
		return store.Result{}, err
	}
	if b.joined(ctx) == nil {
		return b.writer.submit(ctx, c)
	}
	var result store.Result
	err := b.withConn(ctx, func(conn *pgx.Conn) (err error) {
		result, err = b.appendAlone(ctx, conn, c)
		return err
	})
	if err != nil {
		return store.Result{}, b.explain(ctx, err)
	}
	b.joined(ctx).appended(c, result)
	return result, nil
}

// committed wakes followers, here and elsewhere: the log has grown to last.
func (b *Backend) committed(last event.Position) { b.wake.grown(last) }
