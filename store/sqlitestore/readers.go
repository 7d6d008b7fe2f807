package sqlitestore

import (
	"context"
	"strconv"

	"lexigram.dev/events/store"
)

// reader gives a connection for a short while: the transaction's own if ctx carries one of this backend, else one from
// the pool. Its statements are not interrupted when ctx ends, so it is for those that are soon over, whatever the file
// holds. release must be called before anything of the caller's runs.
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
	return c, func() { b.readers <- c }, nil
}

// interruptibleReader gives a connection as reader does, whose statements are interrupted when ctx ends. That takes a
// goroutine, and a wait for its end.
func (b *Backend) interruptibleReader(ctx context.Context) (_ *conn, release func(), err error) {
	c, giveBack, err := b.reader(ctx)
	if err != nil || ctx.Done() == nil || b.transaction(ctx) != nil { // a transaction's statements are interrupted anyway
		return c, giveBack, err
	}
	c.SetInterrupt(ctx.Done())
	return c, func() {
		c.SetInterrupt(nil)
		giveBack()
	}, nil
}

func (b *Backend) openReader(ctx context.Context) (c *conn, err error) {
	err = whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
		pragmas := []string{`query_only = on`, `temp_store = memory`}
		if b.options.CacheSize != 0 {
			pragmas = append(pragmas, `cache_size = `+strconv.Itoa(b.options.CacheSize))
		}
		c, err = openConn(b.path, b.openFlags(), pragmas...)
		return err
	})
	return c, err
}
