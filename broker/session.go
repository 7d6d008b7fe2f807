package broker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// session is the life of one stream. When the stream breaks the session is lost: what it gave out will be delivered
// again, so what was not begun is dropped, and what is handled is not acknowledged.
type session struct {
	stream Stream
	broken atomic.Bool
	stop   context.CancelFunc // of receiving
}

func (s *session) lost() bool { return s.broken.Load() }

func (s *session) lose() {
	s.broken.Store(true)
	s.stop()
}

// receive takes messages until ctx ends or the broker says that it makes no sense to go on. It gives the session that is
// open at the end, if there is one, whose messages are still to be acknowledged.
func (r *run) receive(ctx context.Context) (*session, error) {
	for failures := 0; ; {
		stream, err := r.broker.backend.Consume(ctx, r.group, r.o.Prefetch)
		if err == nil {
			var some bool
			receiving, stop := context.WithCancel(ctx)
			s := &session{stream: stream, stop: stop}
			some, err = r.receiveFrom(receiving, s)
			stop()
			if ctx.Err() != nil && !s.lost() {
				return s, nil
			}
			if some {
				failures = 0
			}
			s.lose()
			r.close(s)
		}
		if ended(ctx) {
			return nil, nil
		}
		if err != nil && !errors.Is(err, ErrUnavailable) {
			return nil, err
		}
		failures++
		r.o.OnError(fmt.Errorf("group %s: the stream is lost, and will be opened again: %w", r.group.Name, err))
		if !wait(ctx, r.o.Retry.Pause(failures)) {
			return nil, nil
		}
	}
}

// receiveFrom takes messages of one stream until ctx ends or the stream breaks, and tells whether any came.
func (r *run) receiveFrom(ctx context.Context, s *session) (some bool, err error) {
	defer context.AfterFunc(ctx, r.intake.wake)()
	for {
		limit, ok := r.intake.room(ctx)
		if !ok {
			break
		}
		messages, err := s.stream.Receive(ctx, limit)
		if len(messages) > 0 {
			some = true
			r.intake.add(s, messages)
		}
		if err != nil {
			if ctx.Err() == nil {
				return some, err
			}
			break
		}
	}
	if s.lost() {
		return some, fmt.Errorf("%w: an answer could not be sent", ErrUnavailable)
	}
	return some, nil
}

func (r *run) close(s *session) {
	if err := s.stream.Close(); err != nil && !errors.Is(err, ErrClosed) {
		r.o.OnError(fmt.Errorf("group %s: close the stream: %w", r.group.Name, err))
	}
}

func ended(ctx context.Context) bool { return ctx.Err() != nil }

// wait reports false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
