package pgstore

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// lone appends one event on a connection of its own, in the goroutine of the caller: where nobody else appends, handing
// the event to the writer's goroutine and the answer back would take a tenth of the time. It does what a batch of one
// does, under the same lock of the server, but leaves every difficulty to the queue, which appends again by the same
// ids. Who has the queue's TryAlone owns it.
type lone struct {
	*writer
	link *link       // nil: not connected
	keep func() bool // ends the watch over life that gives the link up

	mu      sync.Mutex
	call    uint64 // counts the appends
	expired bool   // the context of the present one has ended
}

// suits reports whether the commit is one event without a condition.
func (l *lone) suits(c *store.Commit) bool {
	return l.mode == Copy && len(c.Appends) == 1 && len(c.Appends[0].Events) == 1 && c.Condition == nil
}

// append appends the commit if that is a matter of one call. Otherwise done is false, and sent says whether the commit
// may have been stored in spite of that. It gives the turn back.
func (l *lone) append(ctx context.Context, c *store.Commit) (result store.Result, done, sent bool, err error) {
	began := time.Now()
	if !l.connect(ctx) {
		l.queue.EndAlone(began)
		return store.Result{}, false, false, nil
	}
	buf, err := encodeCall(l.link.buf[:0], stmtOne, oneParameters(&c.Appends[0]))
	if err == nil {
		buf, err = (&pgproto3.Sync{}).Encode(buf)
	}
	if err != nil { // over the protocol's limits
		l.queue.EndAlone(began)
		return store.Result{}, true, false, err
	}
	if l.link.buf = buf; cap(buf) > largeBuffer {
		l.link.buf = nil
	}
	stop := l.watch(ctx)
	if _, err = l.link.net.Write(buf); err != nil {
		l.link.fail()
	}
	answer, err := l.link.receive()
	stop()
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		stream := c.Appends[0].Stream
		go func() { // the append goes on
			answer, err := l.link.receive()
			l.settle(stream, answer, err)
			l.queue.EndAlone(began)
		}()
		return store.Result{}, true, true, groupcommit.Left(ctx)
	}
	result, done = l.settle(c.Appends[0].Stream, answer, err)
	l.queue.EndAlone(began)
	return result, done, err != nil, nil
}

// connect makes sure that there is a connection. It makes one only when the writer has reached the server, and has not
// lost it.
func (l *lone) connect(ctx context.Context) bool {
	if l.link != nil && !l.link.failed.Load() {
		return true
	}
	l.close()
	if !l.reached() {
		return false
	}
	link, err := l.dialLink(ctx)
	if err != nil {
		return false
	}
	l.link = link
	l.keep = context.AfterFunc(l.life, link.fail)
	return true
}

func (l *lone) close() {
	if l.link == nil {
		return
	}
	l.keep()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.link.conn.Close(ctx)
	l.link = nil
}

// watch lets the caller go when its context ends: what is read then fails with os.ErrDeadlineExceeded, and can be read
// on after stop.
func (l *lone) watch(ctx context.Context) (stop func()) {
	l.mu.Lock()
	call := l.call
	l.mu.Unlock()
	unwatch := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.call == call {
			l.expired = true
			_ = l.link.net.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection, where nothing waits
		}
	})
	return func() {
		unwatch()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.call++
		if l.expired {
			l.expired = false
			_ = l.link.net.SetReadDeadline(time.Time{}) // as above
		}
	}
}

// settle reads the answer; false: the queue has to see to it.
func (l *lone) settle(stream event.StreamID, answer reply, err error) (store.Result, bool) {
	if err != nil {
		l.link.fail()
		return store.Result{}, false
	}
	if answer.err != nil || len(answer.rows) != 1 {
		return store.Result{}, false
	}
	o, err := readOnes(answer.rows)
	if err != nil || len(o.refused) > 0 {
		return store.Result{}, false
	}
	version := event.Version(o.found[0]) + 1
	l.versions.set(stream, version)
	l.committed(o.head + 1)
	return store.Result{First: o.head + 1, Last: o.head + 1, Versions: []event.Version{version}}, true
}
