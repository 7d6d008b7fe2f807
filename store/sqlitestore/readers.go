package sqlitestore

import (
	"context"

	"lexigram.dev/events/store"
)

// reader gives a connection for a short while: the transaction's own if ctx carries one of this backend, else one from
// the pool. Statements on it are interrupted when ctx ends. release must be called before anything of the caller's runs.
func (b *Backend) reader(ctx context.Context) (c *conn, release func(), err error) {
	if err := b.usable(ctx); err != nil {
		return nil, nil, err
	}
	if t := b.transaction(ctx); t != nil {
		w, err := t.enter()
		if err != nil {
			return nil, nil, err
		}
		return w.conn, t.leave, nil
	}
	select {
	case c = <-b.readers:
	default:
		select {
		case c = <-b.readers:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-b.closing:
			return nil, nil, store.ErrClosed
		}
	}
	if c == nil {
		c, err = b.openReader(ctx)
		if err != nil {
			b.readers <- nil
			return nil, nil, translate(ctx, err)
		}
	}
	if ctx.Done() == nil {
		return c, func() { b.readers <- c }, nil
	}
	c.SetInterrupt(ctx.Done())
	return c, func() {
		c.SetInterrupt(nil)
		b.readers <- c
	}, nil
}

func (b *Backend) openReader(ctx context.Context) (c *conn, err error) {
	err = whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
		c, err = openConn(b.path, b.openFlags(), `query_only = on`, `temp_store = memory`)
		return err
	})
	return c, err
}
