package mongostore

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The server's filters choose commits, not events: they may choose a commit of which no event passes (its parts or
// events pass one condition each). What they give is filtered again, event by event.

// between chooses the commits that begin from low to high, both inclusive.
func between(low, high event.Position) bson.D {
	return bson.D{{Key: fieldID, Value: bson.D{{Key: "$gte", Value: int64(low)}, {Key: "$lte", Value: int64(high)}}}}
}

func oneOf[T ~string](values []T) any {
	if len(values) == 1 {
		return string(values[0]) // what every server serves best
	}
	return bson.D{{Key: "$in", Value: values}}
}

// logFilter adds the filter of a read to that of its range.
func logFilter(positions bson.D, f store.Filter) bson.D {
	var all bson.A
	if len(f.Categories) > 0 {
		all = append(all, either(fieldCategory, f.Categories))
	}
	if len(f.Streams) > 0 {
		all = append(all, either(fieldStream, f.Streams))
	}
	if len(f.Query) > 0 {
		all = append(all, queryFilter(f.Query))
	}
	if all == nil {
		return positions
	}
	return append(positions, bson.E{Key: "$and", Value: all})
}

// either finds names of the first part or of further ones.
func either[T ~string](field string, names []T) bson.D {
	return bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: field, Value: oneOf(names)}}, bson.D{{Key: fieldAlso, Value: oneOf(names)}},
	}}}
}

func queryFilter(q store.Query) bson.D {
	items := make([]bson.D, len(q))
	for i, item := range q {
		if len(item.Types) > 0 {
			items[i] = append(items[i], bson.E{Key: fieldEvents + "." + fieldType, Value: oneOf(item.Types)})
		}
		var tags bson.A
		for _, tag := range item.Tags {
			tags = append(tags, bson.D{{Key: fieldEvents + "." + fieldTags, Value: string(tag)}})
		}
		if tags != nil {
			items[i] = append(items[i], bson.E{Key: "$and", Value: tags})
		}
	}
	if len(items) == 1 {
		return items[0]
	}
	return bson.D{{Key: "$or", Value: items}}
}
