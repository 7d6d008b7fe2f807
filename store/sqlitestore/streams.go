package sqlitestore

import (
	"context"
	"iter"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// streamsPage is how many streams are listed at once.
const streamsPage = 256

// Head implements store.Log.
func (b *Backend) Head(ctx context.Context) (event.Position, error) {
	c, release, err := b.reader(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	var head int64
	err = whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
		head, err = c.number(sqlHead)
		return err
	})
	return event.Position(head), translate(ctx, err)
}

// StreamInfo implements store.Log.
func (b *Backend) StreamInfo(ctx context.Context, stream event.StreamID) (store.StreamInfo, error) {
	c, release, err := b.reader(ctx)
	if err != nil {
		return store.StreamInfo{}, err
	}
	defer release()
	var info store.StreamInfo
	err = whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
		info, err = streamInfo(c, stream)
		return err
	})
	return info, translate(ctx, err)
}

func streamInfo(c *conn, stream event.StreamID) (store.StreamInfo, error) {
	stmt, err := c.Prepare(sqlStreamInfo)
	if err != nil {
		return store.StreamInfo{}, err
	}
	stmt.BindText(1, string(stream))
	row, err := stmt.Step()
	if err != nil {
		return store.StreamInfo{}, err
	}
	if !row {
		return store.StreamInfo{}, store.ErrNotFound
	}
	info := store.StreamInfo{
		Stream:    stream,
		Version:   event.Version(stmt.ColumnInt64(0)),
		First:     event.Version(stmt.ColumnInt64(1)),
		Position:  event.Position(stmt.ColumnInt64(2)),
		CreatedAt: time.UnixMicro(stmt.ColumnInt64(3)).UTC(),
		UpdatedAt: time.UnixMicro(stmt.ColumnInt64(4)).UTC(),
		Deleted:   stmt.ColumnText(5) == event.TombstoneType,
	}
	return info, stmt.Reset()
}

// Streams implements store.Log. It lists in pages, so streams that begin meanwhile may or may not appear.
func (b *Backend) Streams(ctx context.Context, r store.StreamsRead) iter.Seq2[store.StreamInfo, error] {
	return func(yield func(store.StreamInfo, error) bool) {
		for {
			size := streamsPage
			if r.Limit > 0 {
				size = min(size, r.Limit)
			}
			infos, err := b.streamsPage(ctx, r, size)
			if err != nil {
				yield(store.StreamInfo{}, err)
				return
			}
			for _, info := range infos {
				if !yield(info, nil) {
					return
				}
			}
			if len(infos) < size || len(infos) == r.Limit {
				return
			}
			if r.Limit > 0 {
				r.Limit -= len(infos)
			}
			r.After = infos[len(infos)-1].Stream
		}
	}
}

func (b *Backend) streamsPage(ctx context.Context, r store.StreamsRead, size int) ([]store.StreamInfo, error) {
	c, release, err := b.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	var infos []store.StreamInfo
	err = whileBusy(ctx, b.options.BusyTimeout, func() error {
		names, err := streamNames(c, r, size)
		if err != nil {
			return err
		}
		infos = make([]store.StreamInfo, 0, len(names))
		for _, name := range names {
			info, err := streamInfo(c, name)
			if err != nil {
				return err
			}
			infos = append(infos, info)
		}
		return nil
	})
	return infos, translate(ctx, err)
}

func streamNames(c *conn, r store.StreamsRead, size int) ([]event.StreamID, error) {
	stmt, err := c.Prepare(sqlStreams)
	if err != nil {
		return nil, err
	}
	after := string(r.After)
	if r.Category == "" {
		stmt.BindBytes(2, nil) // a blob is greater than every text
	} else {
		after = max(after, r.Category+"-") // no stream has that name, its id being empty
		stmt.BindText(2, r.Category+".")   // the dot is the byte after the dash
	}
	stmt.BindText(1, after)
	stmt.BindInt64(3, int64(size))
	var names []event.StreamID
	for {
		row, err := stmt.Step()
		if err != nil {
			return nil, err
		}
		if !row {
			return names, stmt.Reset()
		}
		names = append(names, event.StreamID(stmt.ColumnText(0)))
	}
}
