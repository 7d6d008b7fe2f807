package rabbitbroker

import (
	"context"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// flow knows whether the server has stopped to take messages, as it does when memory or disk run short: the connection is
// blocked then, and full once that has lasted too long.
type flow struct {
	wait time.Duration

	mu        sync.Mutex
	timer     *time.Timer   // nil: not blocked
	full      chan struct{} // closed: the connection is full
	unblocked chan struct{} // closed: it is not blocked
	reason    string
}

// watchFlow follows what the server says until the connection ends.
func watchFlow(c *connection, b *Broker) *flow {
	f := &flow{wait: b.o.FullWait, full: make(chan struct{}), unblocked: make(chan struct{})}
	close(f.unblocked)
	b.background(func() {
		for n := range c.NotifyBlocked(make(chan amqp.Blocking)) {
			f.set(n, c.socket)
		}
		f.set(amqp.Blocking{}, c.socket)
	})
	return f
}

func (f *flow) set(n amqp.Blocking, s *socket) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case n.Active && f.timer == nil:
		full := f.full
		f.unblocked, f.reason = make(chan struct{}), n.Reason
		f.timer = time.AfterFunc(f.wait, func() {
			close(full)
			s.hurry(0) // a write that hangs
		})
	case !n.Active && f.timer != nil:
		f.timer.Stop()
		close(f.unblocked)
		f.timer, f.full = nil, make(chan struct{})
	}
}

// state gives a channel that closes when the connection has been blocked for too long, and one that is closed while it
// is not blocked.
func (f *flow) state() (full, unblocked <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full, f.unblocked
}

// pass waits until the server takes messages.
func (f *flow) pass(ctx context.Context) error {
	full, unblocked := f.state()
	select {
	case <-unblocked:
		return nil
	default:
	}
	select {
	case <-unblocked:
		return nil
	case <-full:
		return f.fault()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isFull reports whether the connection has been blocked for too long.
func (f *flow) isFull() bool {
	full, _ := f.state()
	select {
	case <-full:
		return true
	default:
		return false
	}
}

func (f *flow) fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return kindOf(broker.ErrFull, "the server has taken no messages for %v (%s)", f.wait, f.reason)
}

// blocked reports whether the server takes no messages at the moment, and why.
func (f *flow) blocked() (reason string, blocked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reason, f.timer != nil
}
