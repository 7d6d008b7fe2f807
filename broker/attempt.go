package broker

import (
	"context"
	"sync"
	"time"
)

// attempt is the context of one call of the caller's code: it ends when the call returns, and before that when its time is
// over, with the cause ErrTimeout, or with its parent. Most handlers are done before anything ends and never wait for it, so
// it is a timer of its own, and a child of its parent, only from the first time on that somebody asks for Done.
type attempt struct {
	context.Context // the parent
	deadline        time.Time

	mu     sync.Mutex
	over   bool
	timed  context.Context // does the work once it is made; nil: nobody has asked
	cancel context.CancelFunc
}

func newAttempt(parent context.Context, timeout time.Duration) *attempt {
	return &attempt{Context: parent, deadline: time.Now().Add(timeout)}
}

// end tells that the call has returned.
func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	if a.cancel != nil {
		a.cancel()
	}
}

// Deadline implements context.Context.
func (a *attempt) Deadline() (time.Time, bool) {
	if d, ok := a.Context.Deadline(); ok && d.Before(a.deadline) {
		return d, true
	}
	return a.deadline, true
}

// Done implements context.Context.
func (a *attempt) Done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.make().Done()
}

// Err implements context.Context.
func (a *attempt) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.runs() {
		return nil
	}
	return a.make().Err()
}

// Value implements context.Context. It is also how package context finds what ends a context, and the cause of its end.
func (a *attempt) Value(key any) any {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.runs() {
		return a.Context.Value(key)
	}
	return a.make().Value(key)
}

// runs reports whether nobody has asked for Done, and nothing has ended. The lock is held.
func (a *attempt) runs() bool {
	return a.timed == nil && !a.over && a.Context.Err() == nil && time.Now().Before(a.deadline)
}

// make makes the context that does the work. The lock is held.
func (a *attempt) make() context.Context {
	switch {
	case a.timed != nil:
	case a.over:
		a.timed, a.cancel = context.WithCancel(a.Context)
		a.cancel()
	default:
		a.timed, a.cancel = context.WithDeadlineCause(a.Context, a.deadline, ErrTimeout)
	}
	return a.timed
}
