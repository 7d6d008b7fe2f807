package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// window is how many positions one read covers, so that a filter that selects little loses no more than that when the
// context of a call of Next ends.
const window = 100_000

// Subscription is one subscriber's view of the log. It has no goroutine of its own: while it is far behind, Next reads the
// log; then it follows, and Next takes what Feed.Run has put into its buffer. Next, Events and Follow are for one goroutine
// at a time; all else is safe for concurrent use.
type Subscription struct {
	feed   *Feed
	filter store.Filter
	detach func() bool   // from the context; nil: not attached
	ready  chan struct{} // capacity 1: the buffer has got something
	ended  chan struct{} // closed when err is set

	// Guarded by feed.mu.
	position event.Position   // up to where everything was given to the subscriber
	follows  bool             // Run puts into queue what is behind live
	live     event.Position   // queue begins behind it: what is up to here and behind position is read from the log first
	queue    []event.Recorded // at most BufferSize
	behind   bool             // the buffer was full, and it has not caught up since
	inside   bool             // of Next
	slow     *time.Timer      // ends it; nil: it is not behind, or inside
	rest     []event.Recorded // what Events has got from Next and not yielded
	err      error            // why it has ended
}

// Position is the place in the log up to which everything was given to the subscriber: resume after it.
func (s *Subscription) Position() event.Position {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if len(s.rest) > 0 {
		return s.rest[0].Position - 1
	}
	return s.position
}

// Next gives the events that come next, at least one and at most Options.BatchSize. It waits until there are some. When ctx
// ends, which it gives as the error, nothing is lost, and it may be called again. Any other error says why the subscription
// has ended: ErrSlow, ErrClosed, the error of the context of Subscribe, or that of a closed store. Subscribers share the
// bytes of an event: they are not to be changed.
func (s *Subscription) Next(ctx context.Context) ([]event.Recorded, error) {
	s.enter()
	defer s.leave()
	for failures := 0; ; {
		events, to, err := s.take()
		if err != nil || len(events) > 0 {
			return events, err
		}
		switch to {
		case nothing:
			select {
			case <-s.ready:
			case <-s.ended:
			case <-ctx.Done():
			}
		default:
			if events, err = s.catchUp(ctx, to); err == nil {
				failures = 0
			} else if errors.Is(err, store.ErrClosed) {
				s.end(err)
			} else if ctx.Err() == nil {
				failures++
				s.feed.o.OnError(err)
				wait(ctx, outagePause(failures), s.ended)
			}
		}
		if len(events) > 0 {
			return events, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// Events yields what Next gives, one by one; the error is the last pair. It may be left, and called again to go on.
func (s *Subscription) Events(ctx context.Context) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for {
			events, err := s.Next(ctx)
			if err != nil {
				yield(event.Recorded{}, err)
				return
			}
			for i, e := range events {
				s.keep(events[i+1:])
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func (s *Subscription) keep(rest []event.Recorded) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.rest = rest
}

// Follow gives all that comes to send, and calls idle whenever nothing has come for so long. It returns the first error of
// either, or of Next.
func (s *Subscription) Follow(ctx context.Context, pause time.Duration, send func([]event.Recorded) error, idle func() error) error {
	for {
		events, err := s.within(ctx, pause)
		switch {
		case err == nil:
			err = send(events)
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && s.alive():
			err = idle()
		}
		if err != nil {
			return err
		}
	}
}

func (s *Subscription) within(ctx context.Context, pause time.Duration) ([]event.Recorded, error) {
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	return s.Next(ctx)
}

func (s *Subscription) alive() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// Close ends the subscription and makes room for another. Calling it again does nothing.
func (s *Subscription) Close() {
	if s.detach != nil {
		s.detach()
	}
	s.end(ErrClosed)
}

// Where take says that the log is to be read.
const (
	nothing event.Position = -1 // not at all
	anyway  event.Position = 0  // as far as it goes
)

// take gives what waits in the buffer. Where nothing does, it says up to where the log is to be read.
func (s *Subscription) take() (events []event.Recorded, to event.Position, err error) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, nothing, s.err
	case len(s.rest) > 0:
		events, s.rest = s.rest, nil
		return events, nothing, nil
	case s.position < s.live && (s.follows || len(s.queue) > 0): // it may have overflowed already
		return nil, s.live, nil
	case len(s.queue) > 0:
		n := min(len(s.queue), s.feed.o.BatchSize)
		events = append(events, s.queue[:n]...)
		clear(s.queue[:n])
		if s.queue = s.queue[n:]; len(s.queue) == 0 {
			s.queue = nil
		}
		s.position = events[n-1].Position
		return events, nothing, nil
	case s.follows:
		return nil, nothing, nil
	}
	return nil, anyway, nil
}

// catchUp reads on in the log, or begins to follow where the end is near.
func (s *Subscription) catchUp(ctx context.Context, to event.Position) ([]event.Recorded, error) {
	position, size := s.Position(), s.feed.o.BatchSize // nothing is left in rest, or take would have given it
	if to == anyway {
		head, err := s.feed.store.Head(ctx)
		if err != nil {
			return nil, err
		}
		if head-position <= event.Position(size) {
			s.follow()
			return nil, nil
		}
		to = min(head, position+window)
	}
	events, err := read(ctx, s.feed.store, store.LogRead{From: position + 1, To: to, Limit: size, Filter: s.filter})
	if err != nil {
		return nil, err
	}
	if len(events) == size {
		to = events[size-1].Position
	}
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.position = to
	return events, nil
}

// follow has the feed put into the buffer what comes behind its tail.
func (s *Subscription) follow() {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.err != nil {
		return
	}
	if len(f.followers) == 0 {
		f.tail = max(f.tail, s.position)
	}
	s.follows, s.behind, s.live = true, false, max(f.tail, s.position)
	f.followers[s] = struct{}{}
	select {
	case f.joined <- struct{}{}:
	default:
	}
}

// offer puts an event into the buffer. Where that is full, it no longer follows. The caller holds feed.mu.
func (s *Subscription) offer(e event.Recorded) {
	if e.Position <= s.live || !s.filter.Matches(e.Stream, e.Type, e.Tags) {
		return
	}
	if len(s.queue) >= s.feed.o.BufferSize {
		s.follows, s.behind = false, true
		delete(s.feed.followers, s)
		if !s.inside {
			s.slow = time.AfterFunc(s.feed.o.SlowAfter, s.tooSlow)
		}
		return
	}
	s.queue = append(s.queue, e)
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *Subscription) tooSlow() {
	s.end(fmt.Errorf("%w: it took nothing for %v with %d events waiting; resume after position %d",
		ErrSlow, s.feed.o.SlowAfter, s.feed.o.BufferSize, s.Position()))
}

// enter and leave stop and start the clock of one who has fallen behind.
func (s *Subscription) enter() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.inside = true
	if s.slow != nil {
		s.slow.Stop()
		s.slow = nil
	}
}

func (s *Subscription) leave() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.inside = false
	if s.behind && s.err == nil {
		s.slow = time.AfterFunc(s.feed.o.SlowAfter, s.tooSlow)
	}
}

func (s *Subscription) end(err error) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.endLocked(err)
}

// endLocked ends the subscription for a reason, once. The caller holds feed.mu.
func (s *Subscription) endLocked(err error) {
	if s.err != nil {
		return
	}
	s.err, s.queue, s.follows = err, nil, false
	if s.slow != nil {
		s.slow.Stop()
	}
	delete(s.feed.subscribers, s)
	delete(s.feed.followers, s)
	close(s.ended)
}
