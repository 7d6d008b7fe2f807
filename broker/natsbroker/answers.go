package natsbroker

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lexigram.dev/events/broker"
)

// answers matches what the server answers with what was sent: many requests are under way at a time, on one inbox. It
// fails them when the connection is lost, since their answers are lost with it.
type answers struct {
	conn  *nats.Conn
	inbox string // with the dot before the number of a request
	sub   *nats.Subscription

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*question
	closed  error
}

// question is a request that waits for its answer.
type question struct {
	batch   *batch
	index   int
	subject string
}

// batch is a number of requests whose answers are waited for together.
type batch struct {
	read    func(index int, m *nats.Msg) error
	first   uint64 // the number of its first request; the others follow
	errs    []error
	open    int           // without an answer
	done    chan struct{} // closed when open is 0
	moved   chan struct{} // of length 1: an answer has come
	release func()        // called for each answer to what was sent; nil: nothing to do
}

func newAnswers(conn *nats.Conn) (*answers, error) {
	a := &answers{conn: conn, inbox: conn.NewInbox() + ".", waiting: map[uint64]*question{}}
	sub, err := conn.Subscribe(a.inbox+"*", a.receive)
	if err != nil {
		return nil, err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by what was asked
		return nil, err
	}
	a.sub = sub
	return a, nil
}

// begin starts a batch of n requests.
func (a *answers) begin(n int, read func(index int, m *nats.Msg) error) (*batch, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed != nil {
		return nil, a.closed
	}
	b := &batch{read: read, first: a.last + 1, errs: make([]error, n), open: n, done: make(chan struct{}), moved: make(chan struct{}, 1)}
	a.last += uint64(n) //nolint:gosec // G115: not negative
	return b, nil
}

// send sends request i of a batch. An error is the answer then.
func (a *answers) send(b *batch, i int, m *nats.Msg) {
	number := b.first + uint64(i) //nolint:gosec // G115: not negative
	a.mu.Lock()
	if a.closed != nil {
		a.mu.Unlock()
		a.resolve(b, i, broker.ErrClosed)
		return
	}
	a.waiting[number] = &question{batch: b, index: i, subject: m.Subject}
	a.mu.Unlock()
	m.Reply = a.inbox + strconv.FormatUint(number, 36)
	if err := a.conn.PublishMsg(m); err != nil && a.take(number) != nil {
		a.resolve(b, i, err)
	}
}

// take removes a question; nil: it has its answer.
func (a *answers) take(number uint64) *question {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.waiting[number]
	delete(a.waiting, number)
	return q
}

func (a *answers) receive(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, a.inbox), 36, 64)
	if err != nil {
		return
	}
	if q := a.take(number); q != nil {
		a.resolve(q.batch, q.index, q.batch.read(q.index, m))
	}
}

// resolve notes the answer to what was sent.
func (a *answers) resolve(b *batch, i int, err error) {
	a.note(b, i, err)
	if b.release != nil {
		b.release()
	}
}

// note notes an answer.
func (a *answers) note(b *batch, i int, err error) {
	a.mu.Lock()
	b.errs[i] = err
	if b.open--; b.open == 0 {
		close(b.done)
	}
	a.mu.Unlock()
	select {
	case b.moved <- struct{}{}:
	default:
	}
}

// wait waits until all requests of a batch have an answer, as long as one comes within patience. What has none then fails
// with the reason.
func (a *answers) wait(ctx context.Context, b *batch, patience time.Duration) []error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-b.done:
			return b.errs
		case <-b.moved:
			timer.Reset(patience)
		case <-ctx.Done():
			a.drop(b, translate(ctx, ctx.Err()))
			return b.errs
		case <-timer.C:
			a.drop(b, unavailable("no answer for %v", patience))
			return b.errs
		}
	}
}

// drop ends the wait for what is left of a batch.
func (a *answers) drop(b *batch, err error) {
	a.fail(func(q *question) bool { return q.batch == b }, err)
	<-b.done
}

// fail answers questions with an error.
func (a *answers) fail(which func(q *question) bool, err error) {
	a.mu.Lock()
	var failed []*question
	for number, q := range a.waiting {
		if which(q) {
			failed = append(failed, q)
			delete(a.waiting, number)
		}
	}
	a.mu.Unlock()
	for _, q := range failed {
		a.resolve(q.batch, q.index, err)
	}
}

func (a *answers) failAll(err error) { a.fail(func(*question) bool { return true }, err) }

// failSubject answers what was sent to a subject: the server says so when a permission is missing, and nothing to the
// inbox.
func (a *answers) failSubject(subject string, err error) {
	a.fail(func(q *question) bool { return q.subject == subject }, err)
}

// close ends all waits, and lets none begin.
func (a *answers) close() {
	a.mu.Lock()
	a.closed = broker.ErrClosed
	a.mu.Unlock()
	a.failAll(broker.ErrClosed)
}
