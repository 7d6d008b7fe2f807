package membroker

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/broker"
)

// stream is a member of a group. The broker's lock guards it.
type stream struct {
	broker   *Broker
	queues   []*queue // of its group, one for each topic
	prefetch int
	ready    *list.List      // of *lane: they belong to it, and have messages to give out
	held     map[*entry]bool // given out
	more     signal          // there may be something to give out, or it is over
	gone     error           // why it is over
}

// Receive implements broker.Stream.
func (s *stream) Receive(ctx context.Context, limit int) ([]broker.Received, error) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	for {
		if s.gone != nil {
			return nil, s.gone
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var received []broker.Received
		for len(received) < limit && len(s.held) < s.prefetch {
			l := s.oldest()
			if l == nil {
				break
			}
			e := l.take(s)
			received = append(received, broker.Received{Message: clone(e.message), Deliveries: e.deliveries, Token: e})
		}
		if received != nil {
			return received, nil
		}
		more := s.more.wait()
		s.broker.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
		}
		s.broker.mu.Lock()
	}
}

// oldest finds, among the lanes that come next, the one with the oldest message: its own, or one that is free.
func (s *stream) oldest() *lane {
	var found *lane
	consider := func(lanes *list.List) {
		if front := lanes.Front(); front != nil {
			if l := front.Value.(*lane); found == nil || l.waiting[0].number < found.waiting[0].number {
				found = l
			}
		}
	}
	consider(s.ready)
	for _, q := range s.queues {
		consider(q.ready)
	}
	return found
}

// Ack implements broker.Stream.
func (s *stream) Ack(ctx context.Context, messages []broker.Received) error {
	return s.answer(ctx, messages, func(q *queue, e *entry) {
		q.remove(e)
		s.broker.space.send()
	})
}

// Release implements broker.Stream.
func (s *stream) Release(ctx context.Context, messages []broker.Received, after time.Duration) error {
	return s.answer(ctx, messages, func(q *queue, e *entry) {
		if after == 0 {
			e.deliveries--
			q.enqueue(e)
			return
		}
		s.broker.pause(after, func() { q.enqueue(e) })
	})
}

// answer ends the holding of messages.
func (s *stream) answer(ctx context.Context, messages []broker.Received, f func(q *queue, e *entry)) error {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if s.gone != nil {
		return s.gone
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, m := range messages {
		e, ok := m.Token.(*entry)
		if !ok || !s.held[e] {
			return fmt.Errorf("%w: message %s is not held by this stream", broker.ErrInvalid, m.Message.ID)
		}
		l := e.lane
		l.put(e)
		f(l.queue, e)
		if l.owner == nil && len(l.waiting) > 0 {
			for member := range l.queue.members { // the lane is free again
				member.more.send()
			}
		}
	}
	s.more.send() // it has room again
	return nil
}

// Close implements broker.Stream.
func (s *stream) Close() error {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	s.leave(fmt.Errorf("%w: the stream is closed", broker.ErrUnavailable))
	return nil
}

// leave ends the stream and puts back what it holds. The lock is held.
func (s *stream) leave(reason error) {
	if s.gone != nil {
		return
	}
	s.gone = reason
	s.more.send()
	delete(s.broker.streams, s)
	for _, q := range s.queues {
		delete(q.members, s)
	}
	held := make([]*entry, 0, len(s.held))
	for e := range s.held {
		held = append(held, e)
	}
	slices.SortFunc(held, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	for _, e := range held {
		e.lane.put(e)
	}
	for _, e := range held {
		e.lane.queue.enqueue(e)
	}
}

// pause calls f, with the lock held, after a while; not when the broker is closed by then.
func (b *Broker) pause(d time.Duration, f func()) {
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.pauses, t)
		if !b.closed {
			f()
		}
	})
	b.pauses[t] = true
}
