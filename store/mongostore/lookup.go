package mongostore

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// What the writer asks the log. All of it is asked in the writer's session.

// following calls fn with each commit after head, in order. Few have come in mostly, so the first ones are asked for by
// their place: that is the cheapest question there is.
func (b *Backend) following(ctx context.Context, head event.Position, fn func(raw bson.Raw) error) error {
	for range hops {
		raw, err := b.at(ctx, head+1, nil)
		if err != nil || raw == nil {
			return err
		}
		if err := fn(raw); err != nil {
			return err
		}
		if head = lastOf(raw); head == 0 {
			return corrupt("a commit has no last position")
		}
	}
	cursor, err := b.commits.Find(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$gt", Value: int64(head)}}}}, inOrder(1))
	return drain(ctx, cursor, err, fn)
}

// hops is how many commits are asked for one by one before all others at once.
const hops = 2

// at gives the commit that begins at a position; nil where none does.
func (b *Backend) at(ctx context.Context, position event.Position, projection any) (bson.Raw, error) {
	o := options.FindOne()
	if projection != nil {
		o.SetProjection(projection)
	}
	raw, err := b.commits.FindOne(ctx, bson.D{{Key: fieldID, Value: int64(position)}}, o).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	return raw, err
}

// newest gives the head by asking for the last commit.
func (b *Backend) newest(ctx context.Context) (event.Position, error) {
	o := options.FindOne().SetSort(bson.D{{Key: fieldID, Value: -1}}).SetProjection(bson.D{{Key: fieldLast, Value: 1}})
	raw, err := b.commits.FindOne(ctx, bson.D{}, o).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	head := lastOf(raw)
	b.saw(head)
	return head, nil
}

func lastOf(raw bson.Raw) event.Position {
	n, _ := raw.Lookup(fieldLast).AsInt64OK()
	return event.Position(n)
}

// inOrder sorts by position.
func inOrder(direction int) *options.FindOptionsBuilder {
	return options.Find().SetSort(bson.D{{Key: fieldID, Value: direction}})
}

// drain calls fn with each document of a cursor, and closes it.
func drain(ctx context.Context, cursor *mongo.Cursor, err error, fn func(raw bson.Raw) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	for cursor.Next(ctx) {
		if err := fn(cursor.Current); err != nil {
			return err
		}
	}
	return cursor.Err()
}

// learnTails finds out where the streams of the requests end, as far as that is not known.
func (w *writer) learnTails(ctx context.Context, requests []*groupcommit.Request) error {
	var unknown []event.StreamID
	seen := map[event.StreamID]bool{}
	for _, r := range requests {
		for i := range r.Commit.Appends {
			stream := r.Commit.Appends[i].Stream
			if _, known := w.versions.get(stream); !known && !seen[stream] {
				seen[stream] = true
				unknown = append(unknown, stream)
			}
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	tails, err := w.tails(ctx, unknown)
	if err != nil {
		return err
	}
	for _, stream := range unknown {
		w.versions.set(stream, tails[stream])
	}
	return nil
}

// tails finds the ends of streams. One question finds those that do not exist, and the ends of others as long as few
// commits are newer than them; what is left is asked for stream by stream.
func (w *writer) tails(ctx context.Context, streams []event.StreamID) (map[event.StreamID]tail, error) {
	found := make(map[event.StreamID]tail, len(streams))
	var d decoder
	note := func(raw bson.Raw) error {
		c, err := d.commit(raw)
		if err != nil {
			return err
		}
		for _, p := range c.parts {
			if p.to > found[p.stream].version {
				found[p.stream] = tail{version: p.to, deleted: c.deleted}
			}
		}
		return nil
	}
	limit := 4 * len(streams)
	for _, q := range []struct{ by, order string }{{fieldStream, fieldTo}, {fieldAlso, fieldID}} {
		ask := func(filter any, limit int) (n int, err error) {
			upTo := bson.D{{Key: q.by, Value: filter}}
			o := options.Find().SetSort(bson.D{{Key: q.order, Value: -1}}).SetLimit(int64(limit)).SetProjection(bson.D{{Key: fieldEvents, Value: 0}, {Key: fieldIDs, Value: 0}})
			cursor, err := w.commits.Find(ctx, upTo, o)
			return n, drain(ctx, cursor, err, func(raw bson.Raw) error { n++; return note(raw) })
		}
		if len(streams) == 1 {
			if _, err := ask(string(streams[0]), 1); err != nil {
				return nil, err
			}
			continue
		}
		n, err := ask(bson.D{{Key: "$in", Value: streams}}, limit)
		if err != nil {
			return nil, err
		}
		if n < limit {
			continue
		}
		for _, stream := range streams {
			if _, err := ask(string(stream), 1); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// byID gives the stored events that have ids of the requests.
func (w *writer) byID(ctx context.Context, requests []*groupcommit.Request) (map[event.ID]event.Recorded, error) {
	wanted := map[event.ID]bool{}
	var ids []bson.Binary
	for _, r := range requests {
		for i := range r.Commit.Appends {
			for j := range r.Commit.Appends[i].Events {
				id := r.Commit.Appends[i].Events[j].ID
				wanted[id] = true
				ids = append(ids, bson.Binary{Subtype: uuid, Data: id[:]})
			}
		}
	}
	found := map[event.ID]event.Recorded{}
	var d decoder
	var events []event.Recorded
	for chunk := range slices.Chunk(ids, maxIDs) {
		cursor, err := w.commits.Find(ctx, bson.D{{Key: fieldIDs, Value: bson.D{{Key: "$in", Value: chunk}}}})
		err = drain(ctx, cursor, err, func(raw bson.Raw) error {
			c, err := d.commit(raw)
			if err != nil {
				return err
			}
			events, err = d.recorded(c, events[:0])
			for _, e := range events {
				if wanted[e.ID] {
					found[e.ID] = e
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// maxIDs is how many ids are asked for at once.
const maxIDs = 10_000

func pick(found map[event.ID]event.Recorded, c *store.Commit) []event.Recorded {
	var events []event.Recorded
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			if e, ok := found[c.Appends[i].Events[j].ID]; ok {
				events = append(events, e)
			}
		}
	}
	return events
}

// refuse answers the requests that did not pass their checks, once what they were checked against is stored: with their
// first result if they were stored before, else with their conflict.
func (a *attempt) refuse(ctx context.Context, complaints []complaint) error {
	if len(complaints) == 0 {
		return nil
	}
	return a.answerByID(ctx, complaints)
}

// answerByID answers the requests whose ids are stored; the others with their complaint, if there is one.
func (a *attempt) answerByID(ctx context.Context, complaints []complaint) error {
	requests := make([]*groupcommit.Request, len(complaints))
	for i := range complaints {
		requests[i] = complaints[i].request
	}
	present := a.present(requests)
	found, err := a.byID(ctx, present)
	if err != nil {
		return err
	}
	for _, c := range complaints {
		if !slices.Contains(present, c.request) {
			continue
		}
		first, duplicate, reused := store.FirstResult(c.request.Commit, pick(found, &c.request.Commit))
		switch {
		case duplicate:
			c.request.Resolve(first)
		case reused != nil:
			c.request.Fail(reused)
		case c.err != nil:
			c.request.Fail(c.err)
		default:
			continue
		}
		a.answered(c.request)
	}
	return nil
}

// present leaves out the requests whose callers have left: their commits must not be looked at.
func (a *attempt) present(requests []*groupcommit.Request) []*groupcommit.Request {
	return slices.DeleteFunc(slices.Clone(requests), func(r *groupcommit.Request) bool { return !slices.Contains(a.open, r) })
}

// matching gives the newest event up to last that a condition forbids; 0 where there is none.
func (w *writer) matching(ctx context.Context, c *store.Condition, last event.Position) (event.Position, error) {
	low, err := w.floor(ctx, c.After+1)
	if err != nil {
		return 0, err
	}
	filter := append(between(low, last), bson.E{Key: "$and", Value: bson.A{queryFilter(c.Query)}})
	o := inOrder(-1).SetProjection(withoutData())
	cursor, err := w.commits.Find(ctx, filter, o)
	var d decoder
	var matched event.Position
	err = drain(ctx, cursor, err, func(raw bson.Raw) error {
		commit, err := d.commit(raw)
		if err != nil {
			return err
		}
		err = d.kinds(commit, func(at event.Position, eventType string, tags []event.Tag) {
			if at > c.After && at <= last && c.Query.Matches(eventType, tags) {
				matched = max(matched, at)
			}
		})
		if err == nil && matched > 0 {
			err = errFound
		}
		return err
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return matched, err
}

// errFound ends a search.
var errFound = errors.New("found")
