package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// writer sends the batches of the queue. Its goroutine forms and sends; in Copy mode the goroutine of its link reads
// the answers.
type writer struct {
	*Backend
	mode     AppendMode
	queue    *groupcommit.Queue
	versions *versions

	start sync.Once
	life  context.Context    // ends when what is on its way is given up
	give  context.CancelFunc // ends it
	done  chan struct{}      // closed when the writer's goroutine has ended

	link     *link // of the writer's goroutine; nil: not connected
	lone     lone
	answered atomic.Bool // the server was reached once

	lostMu sync.Mutex
	lostAt time.Time // when the server was lost; zero: it is there, or never was
}

// rememberedStreams bounds the memory that the versions of streams take, to some 10 MB.
const rememberedStreams = 32_768

func newWriter(b *Backend) *writer {
	depth := 2
	if b.options.AppendMode == Function {
		depth = 1
	}
	w := &writer{
		Backend:  b,
		mode:     b.options.AppendMode,
		queue:    groupcommit.New(groupcommit.Options{Depth: depth, Independent: true, ByStream: true}),
		versions: newVersions(rememberedStreams),
		done:     make(chan struct{}),
	}
	w.lone.writer = w
	return w
}

// submit appends through the group, or alone where nobody else appends. The goroutines start with the first append.
func (w *writer) submit(ctx context.Context, c store.Commit) (store.Result, error) {
	w.start.Do(func() {
		w.life, w.give = context.WithCancel(context.Background())
		go w.run(w.life)
	})
	if !w.lone.suits(&c) || !w.queue.TryAlone() {
		return w.queue.Submit(ctx, c)
	}
	result, done, sent, err := w.lone.append(ctx, &c)
	if done {
		return result, err
	}
	result, err = w.queue.Submit(ctx, c)
	if sent {
		result.Duplicate = false // it was this append that stored it
	}
	return result, err
}

// close lets what is queued finish, for some time, and ends the goroutines.
func (w *writer) close(patience time.Duration) {
	w.queue.Close()
	started := true
	w.start.Do(func() { started = false })
	if !started {
		return
	}
	timer := time.AfterFunc(patience, w.give)
	defer timer.Stop()
	<-w.done
	w.give()
}

func (w *writer) run(ctx context.Context) {
	defer close(w.done)
	defer func() {
		w.unlink()
		w.lone.close()
	}()
	for {
		from, ok := w.queue.Next()
		if !ok {
			return
		}
		if w.mode == Function {
			w.sendByFunction(ctx, w.prepare(from))
			continue
		}
		from.Release() // connecting may take long, and callers may leave meanwhile
		err := w.connect(ctx)
		from.Hold()
		if err != nil {
			for _, r := range from.Requests {
				r.Fail(err)
			}
			w.queue.Finish(from)
			continue
		}
		if len(from.Requests) == 0 {
			w.queue.Finish(from)
			continue
		}
		w.link.send(w, w.prepare(from))
	}
}

// connect makes sure that there is a link. A server that was lost is waited for.
func (w *writer) connect(ctx context.Context) error {
	if w.link != nil && !w.link.failed.Load() {
		return nil
	}
	w.unlink() // waits until the fate of what was in flight is known
	for try := 0; ; try++ {
		l, err := w.newLink(ctx)
		if err == nil {
			w.link = l
			w.answered.Store(true)
			w.found()
			return nil
		}
		if !w.answered.Load() || !w.wait(ctx, try, err) {
			return &kindError{kind: store.ErrUnavailable, err: fmt.Errorf("nothing was stored: %w", err)}
		}
	}
}

func (w *writer) unlink() {
	if w.link != nil {
		w.link.close()
		w.link = nil
	}
}

// sendByFunction appends the batch by append_many in a transaction on a connection of the pool.
func (w *writer) sendByFunction(ctx context.Context, b *batch) {
	parameters := manyParameters(b.commits())
	b.Release()
	var o outcome
	var err error
	for try := 0; ; try++ {
		begun := false
		err = w.inReadCommitted(ctx, func(conn *pgx.Conn) (err error) {
			begun = true
			o, err = w.callMany(ctx, conn, parameters)
			return err
		})
		if err == nil || begun {
			break
		}
		if !w.wait(ctx, try, err) {
			b.failAll(w.explain(ctx, fmt.Errorf("nothing was stored: %w", err)))
			w.finish(b)
			return
		}
	}
	switch {
	case err == nil:
		w.found()
		w.conclude(ctx, b, &o)
	case asServerError(err) != nil && !isLoss(asServerError(err)):
		w.failed(ctx, b, asServerError(err))
	default:
		w.recover(ctx, b, err)
	}
}

// finish ends a batch: its requests get their answers, or go back into the queue.
func (w *writer) finish(b *batch) {
	w.versions.end(b)
	w.queue.Finish(b.Batch)
}

// found notes that the server answers.
func (w *writer) found() {
	w.lostMu.Lock()
	defer w.lostMu.Unlock()
	w.lostAt = time.Time{}
}

// reached reports whether the server was there when it was last asked for something.
func (w *writer) reached() bool {
	w.lostMu.Lock()
	defer w.lostMu.Unlock()
	return w.answered.Load() && w.lostAt.IsZero()
}

// wait waits before the next attempt to reach the server; false: do not try again.
func (w *writer) wait(ctx context.Context, try int, cause error) bool {
	now := time.Now()
	w.lostMu.Lock()
	if w.lostAt.IsZero() {
		w.lostAt = now
	}
	left := w.options.ReconnectFor - now.Sub(w.lostAt)
	w.lostMu.Unlock()
	if left <= 0 || !isTransient(cause) {
		return false
	}
	timer := time.NewTimer(min(left, backoff(try)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.closing:
		return false
	case <-ctx.Done():
		return false
	}
}

// backoff is 10 ms, 20, 40… up to a quarter of a second.
func backoff(try int) time.Duration {
	return min(10*time.Millisecond<<min(try, 10), 250*time.Millisecond)
}

// withNew runs fn with a new connection: where one was lost, those in the pool may be dead as well.
func (w *writer) withNew(ctx context.Context, fn func(conn *pgx.Conn) error) error {
	conn, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return fn(conn)
}

// recover finds out what became of a batch whose connection was lost between sending and answer, by the ids of its
// events. What was not stored goes back into the queue: should the old connection's transaction still commit, then
// either it has the append lock and the retry waits for it, or the ids tell.
func (w *writer) recover(ctx context.Context, b *batch, cause error) {
	defer w.finish(b)
	for try := 0; ; try++ {
		b.Hold()
		present := b.present()
		if len(present) == 0 {
			return
		}
		found, err := w.lookUp(ctx, b, present, w.withNew)
		if err == nil {
			w.found()
			for _, i := range present {
				r := b.requests[i]
				result, ok, err := store.FirstResult(r.Commit, found[i])
				switch {
				case ok:
					result.Duplicate = false // it was this append that stored it
					r.Resolve(result)
					w.committed(result.Last)
				case err != nil:
					r.Fail(err)
				}
			}
			return
		}
		b.Release()
		if !w.wait(ctx, try, err) {
			b.failAll(errUnknown(errors.Join(cause, err)))
			return
		}
	}
}
