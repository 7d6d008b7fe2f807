package mongostore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"lexigram.dev/events/store"
)

// Apply implements store.KV. Batches that come at once are written together, each with its own outcome.
func (b *Backend) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	if err := b.writable(ctx); err != nil {
		return nil, err
	}
	size := 0
	for i := range ops {
		size += len(ops[i].Value) + len(ops[i].Bucket) + len(ops[i].Key) + opOverhead
	}
	if size > b.server.maxBytes {
		return nil, tooLarge("size of the batch of records", size, b.server.maxBytes)
	}
	return b.batch.submit(ctx, &application{ops: ops, size: size, done: make(chan struct{})})
}

// opPatience is how much longer than ReconnectFor a batch may take for each of its operations.
const opPatience = 10 * time.Millisecond

// opOverhead is more than what an operation takes in the batch's document beside its names and its value.
const opOverhead = 96

// application is one call of Apply, or of ImportRecords.
type application struct {
	ops     []store.Op
	imports []store.Record // instead of ops: to be set as they are
	size    int
	done    chan struct{} // closed when it has its outcome

	revisions []store.Revision
	err       error
}

func (a *application) answer(revisions []store.Revision, err error) {
	a.revisions, a.err = revisions, err
	close(a.done)
}

// batcher is the one goroutine of a Backend that writes records.
type batcher struct {
	*Backend

	mu      sync.Mutex
	waiting []*application
	closed  bool
	signal  chan struct{} // capacity 1: there is something to do
	started bool
	running sync.WaitGroup
	ending  context.Context // ends when Close loses its patience
	give    context.CancelFunc

	last  int64 // the newest revision that was seen, with its batch carried out; it may be stale
	swept time.Time
}

func newBatcher(b *Backend) *batcher {
	t := &batcher{Backend: b, signal: make(chan struct{}, 1), last: -1}
	t.ending, t.give = context.WithCancel(context.Background()) //nolint:gosec // close calls it
	return t
}

// submit waits for the outcome. When ctx ends before the batch is taken up, nothing is written.
func (t *batcher) submit(ctx context.Context, a *application) ([]store.Revision, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, store.ErrClosed
	}
	t.waiting = append(t.waiting, a)
	if !t.started {
		t.started = true
		t.running.Go(t.run)
	}
	t.mu.Unlock()
	select {
	case t.signal <- struct{}{}:
	default:
	}
	select {
	case <-a.done:
		return a.revisions, a.err
	case <-ctx.Done():
	}
	if t.withdraw(a) {
		return nil, ctx.Err()
	}
	<-a.done // its operations are being read: bounded by ReconnectFor
	if a.err != nil && errors.Is(a.err, store.ErrUnavailable) {
		return nil, fmt.Errorf("%w: %w", ctx.Err(), a.err)
	}
	return a.revisions, a.err
}

// withdraw takes an application out that was not taken up yet.
func (t *batcher) withdraw(a *application) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, w := range t.waiting {
		if w == a {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			return true
		}
	}
	return false
}

func (t *batcher) close(patience time.Duration) {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	select {
	case t.signal <- struct{}{}:
	default:
	}
	timer := time.AfterFunc(patience, t.give)
	t.running.Wait()
	timer.Stop()
	t.give()
}

func (t *batcher) run() {
	for {
		batch, more := t.take()
		if len(batch) == 0 {
			if !more {
				return
			}
			<-t.signal
			continue
		}
		work := t.options.ReconnectFor
		for _, a := range batch {
			work += time.Duration(len(a.ops)+len(a.imports)) * opPatience
		}
		ctx, cancel := context.WithTimeout(t.ending, work)
		t.write(ctx, batch)
		cancel()
	}
}

// take gives what waits, as far as it fits into one document. more is false when nothing will come.
func (t *batcher) take() (batch []*application, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	size, n := 0, 0
	for n < len(t.waiting) && (n == 0 || size+t.waiting[n].size <= t.server.maxBytes/2) {
		size += t.waiting[n].size
		n++
	}
	batch = append(batch, t.waiting[:n]...)
	t.waiting = t.waiting[n:]
	return batch, !t.closed
}

// write gives each application its outcome.
func (t *batcher) write(ctx context.Context, batch []*application) {
	var err error
	for try := 0; ; try++ {
		var done bool
		if done, err = t.once(ctx, batch); done {
			return
		}
		if err != nil && !isTransient(err) || ctx.Err() != nil {
			break
		}
		if try > 0 {
			pause(ctx, try)
		}
	}
	if ctx.Err() != nil || isTransient(err) {
		err = &kindError{kind: store.ErrUnavailable, err: errors.Join(ctx.Err(), err)}
	}
	for _, a := range batch {
		a.answer(nil, translate(context.Background(), err))
	}
}

// once checks the applications against the records as they are, and writes what has passed. It reports whether all
// have their outcome; if not, and without an error, another process was faster.
func (t *batcher) once(ctx context.Context, batch []*application) (bool, error) {
	t.clock.tick(ctx, t.db)
	ctx, done, err := t.causal(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	if t.last < 0 {
		if err := t.learn(ctx); err != nil {
			return false, err
		}
	}
	records, err := t.current(ctx, idsOf(batch))
	if err != nil {
		return false, err
	}
	e := evaluation{records: records, last: t.last, now: t.clock.now(), states: map[string]*state{}}
	outcomes := make([]outcome, len(batch))
	for i, a := range batch {
		if a.imports != nil {
			outcomes[i] = e.take(a.imports)
		} else {
			outcomes[i] = e.evaluate(a.ops)
		}
	}
	next := e.batch()
	missing, there := e.doubtful(next)
	if err := t.claim(ctx, next.Batch, missing, there); err != nil {
		return false, err
	}
	replaced, err := t.replaceBatch(ctx, t.last, next)
	if err != nil {
		t.last = -1
		for _, a := range batch {
			a.answer(nil, errUnknown("batch of records", err))
		}
		return true, nil
	}
	if !replaced {
		t.last = -1
		return false, nil
	}
	t.last = next.Last
	if err := t.carryOut(ctx, next); err != nil {
		t.last = -1 // whoever comes next carries it out
	}
	for i, a := range batch {
		a.answer(outcomes[i].revisions, outcomes[i].err)
	}
	t.sweep(ctx)
	return true, nil
}

// learn finds out the newest revision, and carries its batch out if nobody has.
func (t *batcher) learn(ctx context.Context) error {
	newest, err := t.findBatch(ctx, bson.D{{Key: fieldID, Value: metaRecords}})
	if err != nil {
		return err
	}
	if newest == nil {
		return corrupt("the document %q of %s is missing", metaRecords, t.meta.Name())
	}
	if !newest.Done {
		if err := t.carryOut(ctx, newest); err != nil {
			return err
		}
	}
	t.last = newest.Last
	return nil
}

// sweepPause is the time between two sweeps, and how long expired records stay at least.
const sweepPause = time.Minute

// sweep removes records that expired a while ago. Nobody sees them, so a failure does not matter.
func (t *batcher) sweep(ctx context.Context) {
	now := t.clock.now()
	if now.Sub(t.swept) < sweepPause {
		return
	}
	t.swept = now
	_, _ = t.records.DeleteMany(ctx, bson.D{
		{Key: fieldExpires, Value: bson.D{{Key: "$lt", Value: now.Add(-sweepPause).UnixMicro()}}},
		{Key: fieldClaims, Value: bson.D{{Key: "$exists", Value: false}}},
	})
}

func idsOf(batch []*application) []string {
	var ids []string
	seen := map[string]bool{}
	add := func(bucket, key string) {
		if id := recordKey(bucket, key); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, a := range batch {
		for i := range a.ops {
			add(a.ops[i].Bucket, a.ops[i].Key)
		}
		for i := range a.imports {
			add(a.imports[i].Bucket, a.imports[i].Key)
		}
	}
	return ids
}
