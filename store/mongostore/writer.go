package mongostore

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store/internal/groupcommit"
)

// writer is the one goroutine of a Backend that appends. What it knows of the log (head, versions, recent) is true of
// the log up to head exactly.
type writer struct {
	*Backend
	queue *groupcommit.Queue

	startOnce sync.Once
	running   sync.WaitGroup
	ending    context.Context // ends when Close loses its patience
	give      context.CancelFunc

	ready      bool // what follows is filled in
	checkIDs   bool // the server does not keep ids unique
	session    *mongo.Session
	head       event.Position
	versions   versions
	recent     recent
	decoder    decoder
	recordedAt time.Time // of the newest commit made here
}

// rememberedStreams is how many streams' versions a writer remembers, per generation.
const rememberedStreams = 1 << 15

func newWriter(b *Backend) *writer {
	w := &writer{Backend: b, queue: groupcommit.New(groupcommit.Options{}), versions: versions{limit: rememberedStreams}}
	w.ending, w.give = context.WithCancel(context.Background()) //nolint:gosec // close calls it
	return w
}

// start begins to work, at the first append.
func (w *writer) start() { w.startOnce.Do(func() { w.running.Go(w.run) }) }

func (w *writer) close(patience time.Duration) {
	w.queue.Close()
	timer := time.AfterFunc(patience, w.give)
	w.running.Wait()
	timer.Stop()
	w.give()
}

func (w *writer) run() {
	for {
		batch, ok := w.queue.Next()
		if !ok {
			break
		}
		w.commit(batch)
		w.queue.Finish(batch)
	}
	if w.session != nil {
		w.session.EndSession(context.Background())
	}
}

// commit answers the requests of a batch, but for those that must wait for a later one.
func (w *writer) commit(batch *groupcommit.Batch) {
	ctx, cancel := context.WithTimeout(w.ending, w.options.ReconnectFor)
	defer cancel()
	a := attempt{writer: w, batch: batch, open: append([]*groupcommit.Request(nil), batch.Requests...)}
	a.run(ctx)
}

// prepare finds out where the log stands, once.
func (w *writer) prepare(ctx context.Context) (context.Context, error) {
	w.clock.tick(ctx, w.db)
	if w.session == nil && w.server.sessions {
		session, err := w.client.StartSession()
		if err != nil {
			return ctx, err
		}
		w.session = session
	}
	if w.session != nil {
		ctx = mongo.NewSessionContext(ctx, w.session)
	}
	if w.ready {
		return ctx, nil
	}
	unique, err := w.keepsIDsUnique(ctx)
	if err != nil {
		return ctx, err
	}
	head, err := w.newest(ctx)
	if err != nil {
		return ctx, err
	}
	w.checkIDs, w.head, w.recent = !unique, head, recent{base: head}
	if err := w.warm(ctx); err != nil {
		return ctx, err
	}
	w.ready = true
	return ctx, nil
}

// warmEvents is how long a log may be that a writer reads before its first append.
const warmEvents = 10_000

// warm reads a short log, but for the data, so that nothing needs to be asked about its streams and its end later.
func (w *writer) warm(ctx context.Context) error {
	w.versions = versions{limit: rememberedStreams}
	if w.head > warmEvents {
		return nil
	}
	last := w.head
	w.head, w.recent, w.versions.complete = 0, recent{}, true
	if last == 0 {
		return nil
	}
	cursor, err := w.commits.Find(ctx, between(1, last), inOrder(1).SetProjection(withoutData()))
	return drain(ctx, cursor, err, func(raw bson.Raw) error {
		c, err := w.decoder.commit(raw)
		if err != nil {
			return err
		}
		return w.learn(c)
	})
}

// withoutData leaves out what only readers want.
func withoutData() bson.D {
	return bson.D{{Key: fieldIDs, Value: 0}, {Key: fieldEvents + "." + fieldData, Value: 0}, {Key: fieldEvents + "." + fieldMetadata, Value: 0}}
}

// time gives the recorded-at of a commit: the server's clock, never going back within this process.
func (w *writer) time() time.Time {
	if now := w.clock.now(); now.After(w.recordedAt) {
		w.recordedAt = now
	}
	return w.recordedAt
}

// learn takes in a commit that follows head.
func (w *writer) learn(c *commit) error {
	if c.first != w.head+1 {
		return corrupt("position %d is missing: the next commit begins at %d", w.head+1, c.first)
	}
	for i := range c.parts {
		w.versions.set(c.parts[i].stream, tail{version: c.parts[i].to, deleted: c.deleted})
	}
	err := w.decoder.kinds(c, func(at event.Position, eventType string, tags []event.Tag) {
		w.recent.add(kind{position: at, name: eventType, tags: append([]event.Tag(nil), tags...)})
	})
	w.head = c.last
	w.saw(w.head)
	return err
}

// stored takes in a commit of this writer.
func (w *writer) stored(p *planned) {
	for i := range p.request.Commit.Appends {
		part := &p.request.Commit.Appends[i]
		w.versions.set(part.Stream, tail{version: p.result.Versions[i], deleted: part.Events[0].Type == event.TombstoneType})
	}
	for _, k := range p.kinds {
		w.recent.add(k)
	}
	w.head = p.result.Last
	w.saw(w.head)
}

// pause waits a little, longer after each vain try, and not the same as others do.
func pause(ctx context.Context, try int) {
	d := min(time.Millisecond<<min(try, 8), 200*time.Millisecond)
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
