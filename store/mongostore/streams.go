package mongostore

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// StreamInfo implements store.Log.
func (b *Backend) StreamInfo(ctx context.Context, stream event.StreamID) (store.StreamInfo, error) {
	if err := b.usable(ctx); err != nil {
		return store.StreamInfo{}, err
	}
	ctx, done, err := b.causal(ctx)
	if err != nil {
		return store.StreamInfo{}, err
	}
	defer done()
	info, err := b.info(ctx, stream)
	return info, translate(ctx, err)
}

// info looks at the newest and the oldest commit that hold events of the stream.
func (b *Backend) info(ctx context.Context, stream event.StreamID) (store.StreamInfo, error) {
	last, err := b.endOf(ctx, stream, -1)
	if err != nil {
		return store.StreamInfo{}, err
	}
	if last == nil {
		return store.StreamInfo{}, store.ErrNotFound
	}
	first, err := b.endOf(ctx, stream, 1)
	if err != nil {
		return store.StreamInfo{}, err
	}
	if first == nil { // deleted in between, which leaves the tombstone
		first = last
	}
	return store.StreamInfo{
		Stream: stream, Version: last.part.to, First: first.part.from, Deleted: last.deleted,
		Position:  last.first + event.Position(last.part.at) + event.Position(last.part.to-last.part.from),
		CreatedAt: first.recorded, UpdatedAt: last.recorded,
	}, nil
}

// holding is a commit as one stream sees it.
type holding struct {
	first    event.Position
	part     part
	recorded time.Time
	deleted  bool
}

// endOf gives the oldest (direction 1) or newest (-1) commit that holds events of the stream; nil where none does.
func (b *Backend) endOf(ctx context.Context, stream event.StreamID, direction int) (*holding, error) {
	var found *holding
	var d decoder
	for _, q := range []struct{ by, order string }{{fieldStream, fieldTo}, {fieldAlso, fieldID}} {
		o := options.FindOne().SetSort(bson.D{{Key: q.order, Value: direction}}).SetProjection(bson.D{{Key: fieldEvents, Value: 0}, {Key: fieldIDs, Value: 0}})
		raw, err := b.commits.FindOne(ctx, bson.D{{Key: q.by, Value: string(stream)}}, o).Raw()
		if errors.Is(err, mongo.ErrNoDocuments) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := d.commit(raw)
		if err != nil {
			return nil, err
		}
		for _, p := range c.parts {
			if p.stream == stream && (found == nil || (p.to > found.part.to) == (direction < 0)) {
				found = &holding{first: c.first, part: p, recorded: c.recorded, deleted: c.deleted}
			}
		}
	}
	return found, nil
}

// Streams implements store.Log. The server names the streams, a page at a time, and each is then looked at.
func (b *Backend) Streams(ctx context.Context, r store.StreamsRead) iter.Seq2[store.StreamInfo, error] {
	return func(yield func(store.StreamInfo, error) bool) {
		if err := b.usable(ctx); err != nil {
			yield(store.StreamInfo{}, err)
			return
		}
		after, left := r.After, r.Limit
		for {
			size := streamsPage
			if left > 0 {
				size = min(size, left)
			}
			names, err := b.streamNames(ctx, r.Category, after, size)
			if err != nil {
				yield(store.StreamInfo{}, b.closedOr(ctx, err))
				return
			}
			for _, name := range names {
				info, err := b.info(ctx, name)
				if err != nil {
					yield(store.StreamInfo{}, b.closedOr(ctx, err))
					return
				}
				if !yield(info, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
				after = name
			}
			if len(names) < size {
				return
			}
		}
	}
}

// streamsPage is how many streams are named at once. Naming them reads all their commits, so pages are large.
const streamsPage = 5000

// streamNames gives the names of streams after one, in order, from the first parts and from further ones.
func (b *Backend) streamNames(ctx context.Context, category string, after event.StreamID, limit int) ([]event.StreamID, error) {
	seen := map[event.StreamID]bool{}
	for _, further := range []bool{false, true} {
		names, err := b.group(ctx, further, category, after, limit)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			seen[name] = true
		}
	}
	return firstNames(seen, limit), nil
}

func (b *Backend) group(ctx context.Context, further bool, category string, after event.StreamID, limit int) ([]event.StreamID, error) {
	name, match := fieldStream, bson.D{{Key: fieldStream, Value: bson.D{{Key: "$gt", Value: string(after)}}}}
	if category != "" {
		match = append(match, bson.E{Key: fieldCategory, Value: category})
	}
	pipeline := mongo.Pipeline{{{Key: "$match", Value: match}}}
	if further {
		name, match = fieldMore+"."+fieldStream, bson.D{{Key: fieldAlso, Value: bson.D{{Key: "$gt", Value: ""}}}}
		if category != "" {
			match[0].Value = category
		}
		pipeline = mongo.Pipeline{
			{{Key: "$match", Value: match}},
			{{Key: "$unwind", Value: "$" + fieldMore}},
			{{Key: "$match", Value: bson.D{{Key: name, Value: bson.D{{Key: "$gt", Value: string(after)}}}}}},
		}
	}
	pipeline = append(pipeline, bson.D{{Key: "$group", Value: bson.D{{Key: fieldID, Value: "$" + name}}}}, bson.D{{Key: "$sort", Value: bson.D{{Key: fieldID, Value: 1}}}})
	if !further || category == "" {
		pipeline = append(pipeline, bson.D{{Key: "$limit", Value: limit}})
	}
	cursor, err := b.commits.Aggregate(ctx, pipeline)
	var names []event.StreamID
	err = drain(ctx, cursor, err, func(raw bson.Raw) error {
		stream, _ := raw.Lookup(fieldID).StringValueOK()
		if id := event.StreamID(stream); id > after && (category == "" || id.Category() == category) {
			names = append(names, id)
		}
		return nil
	})
	return names, err
}

// firstNames gives the first names in byte order, at most limit.
func firstNames(names map[event.StreamID]bool, limit int) []event.StreamID {
	sorted := slices.Sorted(maps.Keys(names))
	return sorted[:min(len(sorted), limit)]
}
