package store

import (
	"bytes"
	"slices"

	"lexigram.dev/events/event"
)

// FirstResult decides what an append whose ids are (partly) in the store means; drivers call it when an append met a
// conflict or an id that exists. found holds the stored events that have one of the commit's ids, in any order.
//
// None found: ok is false, the append is no duplicate. All found, in the commit's order, in its streams, with its
// content, and next to each other in the log: the commit was stored before, and its result is given. Anything else is
// an *IDReusedError.
//
// Content is type, schema version, content type, data and tags. Metadata and time of occurrence are not compared:
// a retry may be made in another trace, later.
func FirstResult(c Commit, found []event.Recorded) (res Result, ok bool, err error) {
	if len(found) == 0 {
		return Result{}, false, nil
	}
	byID := make(map[event.ID]*event.Recorded, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	res = Result{Duplicate: true, Versions: make([]event.Version, len(c.Appends))}
	for i, part := range c.Appends {
		for j := range part.Events {
			e := &part.Events[j]
			stored := byID[e.ID]
			if stored == nil {
				return Result{}, false, reused(&found[0], "other events of this append are not stored")
			}
			if why := differs(e, stored, part.Stream); why != "" {
				return Result{}, false, reused(stored, why)
			}
			switch {
			case res.First == 0:
				res.First = stored.Position
			case stored.Position != res.Last+1:
				return Result{}, false, reused(stored, "it was part of another append")
			}
			res.Last = stored.Position
			res.Versions[i] = stored.Version
		}
	}
	return res, true, nil
}

func differs(e *event.Pending, stored *event.Recorded, stream event.StreamID) string {
	switch {
	case stored.Stream != stream:
		return "this append is to stream " + string(stream)
	case stored.Type != e.Type:
		return "this append gives it type " + e.Type + ", stored is " + stored.Type
	case stored.SchemaVersion != e.SchemaVersion || stored.ContentType != e.ContentType:
		return "its schema version or content type differs"
	case !bytes.Equal(stored.Data, e.Data):
		return "its data differs"
	case !slices.Equal(stored.Tags, e.Tags):
		return "its tags differ"
	}
	return ""
}

func reused(stored *event.Recorded, reason string) error {
	return &IDReusedError{ID: stored.ID, Stream: stored.Stream, Position: stored.Position, Reason: reason}
}
