package mongostore

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Truncate implements store.Truncator. Commits are rewritten one by one, oldest first; their documents stay, so that
// their places stay taken. A truncation that was interrupted leaves the stream truncated up to an earlier version, and
// the account of it is put right by the next one.
func (b *Backend) Truncate(ctx context.Context, stream event.StreamID, before event.Version) (int64, error) {
	if err := b.writable(ctx); err != nil {
		return 0, err
	}
	removed, err := b.truncate(ctx, stream, before)
	return removed, translate(ctx, err)
}

func (b *Backend) truncate(ctx context.Context, stream event.StreamID, before event.Version) (removed int64, err error) {
	info, err := b.info(ctx, stream)
	if err != nil {
		return 0, err
	}
	before = min(before, info.Version) // the last event always stays
	for info.First < before {
		oldest, err := b.endOf(ctx, stream, 1)
		if err != nil {
			return removed, err
		}
		if oldest == nil || oldest.part.from >= before {
			break // another truncation was faster
		}
		n, err := b.strip(ctx, oldest.first, stream, before)
		if err != nil {
			return removed, err
		}
		removed += n
	}
	return removed, b.account(ctx, stream)
}

// strip removes the stream's events before a version from the commit at a place, and gives how many they were.
func (b *Backend) strip(ctx context.Context, place event.Position, stream event.StreamID, before event.Version) (int64, error) {
	for try := 0; ; try++ {
		raw, err := b.at(ctx, place, nil)
		if err != nil {
			return 0, err
		}
		var d decoder
		c, err := d.commit(raw)
		if err != nil {
			return 0, err
		}
		i := slices.IndexFunc(c.parts, func(p part) bool { return p.stream == stream })
		if i < 0 || c.parts[i].from >= before {
			return 0, nil
		}
		p := &c.parts[i]
		cut := part{at: p.at, from: p.from, to: min(p.to, before-1)}
		doc, err := rewritten(raw, c, i, cut)
		if err != nil {
			return 0, err
		}
		unchanged := bson.D{{Key: fieldID, Value: int64(place)}, {Key: fieldRewrites, Value: bson.D{{Key: "$exists", Value: false}}}}
		if c.rewrites > 0 {
			unchanged[1].Value = c.rewrites
		}
		res, err := b.commits.ReplaceOne(ctx, unchanged, doc)
		if err != nil {
			return 0, err
		}
		if res.MatchedCount > 0 {
			return int64(cut.to - cut.from + 1), nil
		}
		if pause(ctx, try); ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

// rewritten gives the document of a commit without the cut of its part i.
func rewritten(raw bson.Raw, c *commit, i int, cut part) (bson.D, error) {
	var doc, old bson.D
	if err := bson.Unmarshal(raw, &old); err != nil {
		return nil, err
	}
	parts := slices.Clone(c.parts)
	if parts[i].to == cut.to {
		parts = slices.Delete(parts, i, i+1)
	} else {
		n := cut.to - cut.from + 1
		parts[i].from += n
		parts[i].at += int64(n)
	}
	// A first part that stands behind others now would be found by its version all the same, so its place is kept.
	hasFirst := slices.ContainsFunc(old, func(e bson.E) bool { return e.Key == fieldStream }) && (i > 0 || parts != nil && len(parts) == len(c.parts))
	for _, e := range old {
		switch e.Key {
		case fieldStream, fieldCategory, fieldFrom, fieldTo, fieldAt, fieldMore, fieldAlso, fieldIDs, fieldEvents, fieldRewrites:
		default:
			doc = append(doc, e)
		}
	}
	if hasFirst {
		doc = append(doc, bson.E{Key: fieldStream, Value: string(parts[0].stream)}, bson.E{Key: fieldCategory, Value: parts[0].stream.Category()})
		doc = append(doc, partNumbers(parts[0])...)
		parts = parts[1:]
	}
	var more, also bson.A
	for _, p := range parts {
		more = append(more, append(bson.D{{Key: fieldStream, Value: string(p.stream)}}, partNumbers(p)...))
		also = append(also, string(p.stream))
		if category := p.stream.Category(); !slices.Contains(also, any(category)) {
			also = append(also, category)
		}
	}
	if more != nil {
		doc = append(doc, bson.E{Key: fieldMore, Value: more}, bson.E{Key: fieldAlso, Value: also})
	}
	ids, events := kept(old, cut)
	if ids != nil {
		doc = append(doc, bson.E{Key: fieldIDs, Value: ids}, bson.E{Key: fieldEvents, Value: events})
	}
	return append(doc, bson.E{Key: fieldRewrites, Value: c.rewrites + 1}), nil
}

func partNumbers(p part) bson.D {
	return bson.D{{Key: fieldFrom, Value: int64(p.from)}, {Key: fieldTo, Value: int64(p.to)}, {Key: fieldAt, Value: p.at}}
}

// kept gives the ids and events outside of the cut, each event with its offset, since it cannot be counted any more.
func kept(old bson.D, cut part) (ids, events bson.A) {
	oldIDs, _ := lookup(old, fieldIDs).(bson.A)
	oldEvents, _ := lookup(old, fieldEvents).(bson.A)
	next := int64(0)
	for i, v := range oldEvents {
		e, isDoc := v.(bson.D)
		if !isDoc || i >= len(oldIDs) {
			continue
		}
		at := next
		switch known := lookup(e, fieldAt).(type) {
		case int64:
			at = known
		case int32:
			at = int64(known)
		default:
			e = append(e, bson.E{Key: fieldAt, Value: at})
		}
		next = at + 1
		if at < cut.at || at > cut.at+int64(cut.to-cut.from) {
			ids, events = append(ids, oldIDs[i]), append(events, e)
		}
	}
	return ids, events
}

func lookup(doc bson.D, key string) any {
	for _, e := range doc {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

// account writes down how many events of the stream were removed: those before the oldest version that is left.
func (b *Backend) account(ctx context.Context, stream event.StreamID) error {
	info, err := b.info(ctx, stream)
	if err != nil {
		return err
	}
	removed := strconv.FormatInt(int64(info.First)-1, 10)
	record, err := b.Get(ctx, store.TruncatedBucket, string(stream))
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case err != nil && info.First == 1, err == nil && string(record.Value) == removed:
		return nil
	}
	_, err = b.Apply(ctx, []store.Op{store.Put(store.TruncatedBucket, string(stream), []byte(removed))})
	return err
}

// Delete implements store.Truncator. The tombstone is an append like any other; then what was before it is removed. Of a
// stream that is deleted already, it removes what an interrupted deletion has left.
func (b *Backend) Delete(ctx context.Context, stream event.StreamID, expected store.Expected) (store.Result, error) {
	if err := b.writable(ctx); err != nil {
		return store.Result{}, err
	}
	info, err := b.info(ctx, stream)
	if errors.Is(err, store.ErrNotFound) && !expected.IsAny() {
		info, err = store.StreamInfo{}, nil // the append tells whether that is as expected
	}
	if err != nil {
		return store.Result{}, translate(ctx, err)
	}
	if info.Deleted {
		if _, err := b.truncate(ctx, stream, info.Version); err != nil {
			return store.Result{}, translate(ctx, err)
		}
		return store.Result{}, &store.StreamDeletedError{Stream: stream}
	}
	result, err := b.Append(ctx, store.Commit{Appends: []store.Append{{Stream: stream, Expected: expected, Events: []event.Pending{{
		ID: event.NewID(), Type: event.TombstoneType, SchemaVersion: 1, ContentType: event.JSON, Data: []byte("{}"), OccurredAt: b.clock.now(),
	}}}}})
	if err != nil {
		return store.Result{}, err
	}
	_, err = b.truncate(ctx, stream, result.Version())
	return result, translate(ctx, err)
}
