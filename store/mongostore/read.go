package mongostore

import (
	"context"
	"errors"
	"iter"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Head implements store.Log. What this process has seen of the log is a start: mostly nothing has come, or little.
func (b *Backend) Head(ctx context.Context) (event.Position, error) {
	if err := b.usable(ctx); err != nil {
		return 0, err
	}
	head := event.Position(b.known.Load())
	for range hops {
		raw, err := b.at(ctx, head+1, bson.D{{Key: fieldLast, Value: 1}})
		if err != nil {
			return 0, translate(ctx, err)
		}
		if raw == nil {
			return head, nil
		}
		head = lastOf(raw)
		b.saw(head)
	}
	head, err := b.newest(ctx)
	return head, translate(ctx, err)
}

// floor gives the place of the commit that holds a position; the position itself where none does.
func (b *Backend) floor(ctx context.Context, position event.Position) (event.Position, error) {
	if position <= 1 {
		return 1, nil
	}
	raw, err := b.at(ctx, position, bson.D{{Key: fieldID, Value: 1}})
	if err != nil || raw != nil {
		return position, err
	}
	o := options.FindOne().SetSort(bson.D{{Key: fieldID, Value: -1}}).SetProjection(bson.D{{Key: fieldID, Value: 1}})
	raw, err = b.commits.FindOne(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$lt", Value: int64(position)}}}}, o).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return position, nil
	}
	if err != nil {
		return 0, err
	}
	first, _ := raw.Lookup(fieldID).AsInt64OK()
	return event.Position(first), nil
}

// ReadLog implements store.Log.
func (b *Backend) ReadLog(ctx context.Context, r store.LogRead) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		head, err := b.Head(ctx)
		if err != nil {
			yield(event.Recorded{}, err)
			return
		}
		low, high := r.From, r.To
		if r.Backwards {
			low, high = r.To, r.From
		}
		low = max(low, 1)
		if high == 0 || high > head {
			high = head
		}
		if low > high {
			return
		}
		from, err := b.floor(ctx, low)
		if err != nil {
			yield(event.Recorded{}, translate(ctx, err))
			return
		}
		b.scan(ctx, scan{
			filter:    func(low, high event.Position) bson.D { return logFilter(between(low, high), r.Filter) },
			low:       from,
			high:      high,
			order:     fieldID,
			backwards: r.Backwards,
			limit:     r.Limit,
			passes: func(e *event.Recorded) bool {
				return e.Position >= low && e.Position <= high && r.Filter.Matches(e.Stream, e.Type, e.Tags)
			},
		}, yield)
	}
}

// scan is a read of commits in order, of which some events are wanted.
type scan struct {
	filter    func(low, high event.Position) bson.D // of the commits that begin there
	low, high event.Position
	order     string // the field that gives the order
	backwards bool
	limit     int // 0: none
	passes    func(e *event.Recorded) bool
}

// firstBatch is how many commits the server sends at first; then it sends 16 MiB at a time.
const firstBatchSize = 1000

// scan yields the wanted events. A cursor that the server has given up (its reader took its time) is opened again where
// it was.
func (b *Backend) scan(ctx context.Context, s scan, yield func(event.Recorded, error) bool) {
	var (
		d      decoder
		events []event.Recorded
		left   = s.limit
	)
	deliver := func(raw bson.Raw) error {
		if err := b.open(ctx); err != nil {
			return err
		}
		c, err := d.commit(raw)
		if err != nil {
			return err
		}
		if s.backwards {
			s.high = c.first - 1
		} else {
			s.low = c.last + 1
		}
		if events, err = d.recorded(c, events[:0]); err != nil {
			return err
		}
		for i := range events {
			e := &events[i]
			if s.backwards {
				e = &events[len(events)-1-i]
			}
			if !s.passes(e) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if !yield(*e, nil) {
				return errFound
			}
			if left--; left == 0 {
				return errFound
			}
		}
		return nil
	}
	direction, size := 1, int32(firstBatchSize)
	if s.backwards {
		direction = -1
	}
	if s.limit > 0 {
		size = int32(min(s.limit, firstBatchSize)) //nolint:gosec // small
	}
	for s.low <= s.high {
		o := options.Find().SetSort(bson.D{{Key: s.order, Value: direction}})
		if s.limit > 0 {
			o.SetBatchSize(size)
		}
		cursor, err := b.commits.Find(ctx, s.filter(s.low, s.high), o)
		err = drain(ctx, cursor, err, deliver)
		if isLostCursor(err) {
			continue
		}
		if err != nil && !errors.Is(err, errFound) {
			yield(event.Recorded{}, b.closedOr(ctx, err))
		}
		return
	}
}

func isLostCursor(err error) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && server.HasErrorCode(codeCursorNotFound)
}

// open says whether the backend was closed meanwhile.
func (b *Backend) open(ctx context.Context) error {
	select {
	case <-b.closing:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

func (b *Backend) closedOr(ctx context.Context, err error) error {
	if b.open(context.Background()) != nil && ctx.Err() == nil {
		return store.ErrClosed
	}
	return translate(ctx, err)
}

// ReadStream implements store.Log. Commits in which the stream comes first are found by stream and version; the few in
// which it stands behind others by its name alone. Two sequences, each in order, become one.
func (b *Backend) ReadStream(ctx context.Context, r store.StreamRead) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		head, err := b.Head(ctx)
		if err != nil || head == 0 {
			if err != nil {
				yield(event.Recorded{}, err)
			}
			return
		}
		passes := func(e *event.Recorded) bool {
			return e.Stream == r.Stream && e.Position <= head && (r.From == 0 || !r.Backwards && e.Version >= r.From || r.Backwards && e.Version <= r.From)
		}
		s := scan{low: 1, high: head, backwards: r.Backwards, limit: r.Limit, passes: passes}
		leading, further := s, s
		leading.order, leading.filter = fieldTo, func(low, high event.Position) bson.D {
			f := append(bson.D{{Key: fieldStream, Value: string(r.Stream)}}, between(low, high)...)
			if r.From > 0 && !r.Backwards {
				f = append(f, bson.E{Key: fieldTo, Value: bson.D{{Key: "$gte", Value: int64(r.From)}}})
			}
			if r.From > 0 && r.Backwards {
				f = append(f, bson.E{Key: fieldFrom, Value: bson.D{{Key: "$lte", Value: int64(r.From)}}})
			}
			return f
		}
		further.order, further.filter = fieldID, func(low, high event.Position) bson.D {
			return append(bson.D{{Key: fieldAlso, Value: string(r.Stream)}}, between(low, high)...)
		}
		b.merge(ctx, leading, further, yield)
	}
}

// merge yields the events of two scans in the order of their versions. Most streams have events in one of them only.
func (b *Backend) merge(ctx context.Context, leading, further scan, yield func(event.Recorded, error) bool) {
	nextFurther, stop := iter.Pull2(func(yield func(event.Recorded, error) bool) { b.scan(ctx, further, yield) })
	defer stop()
	other, err, more := nextFurther()
	left := leading.limit
	give := func(e event.Recorded, err error) bool {
		if !yield(e, err) || err != nil {
			return false
		}
		left--
		return left != 0
	}
	ended := false
	b.scan(ctx, leading, func(e event.Recorded, failure error) bool {
		for failure == nil && more && (err != nil || (other.Version < e.Version) != leading.backwards) {
			if !give(other, err) {
				ended = true
				return false
			}
			other, err, more = nextFurther()
		}
		if !give(e, failure) {
			ended = true
		}
		return !ended
	})
	for !ended && more {
		if !give(other, err) {
			return
		}
		other, err, more = nextFurther()
	}
}
