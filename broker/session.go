package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// session is the life of one stream. When the stream breaks the session is lost: what it gave out will be delivered
// again, so what was not begun is dropped, and what is handled is not acknowledged.
type session struct {
	stream Stream
	ctx    context.Context //nolint:containedctx // its end is the session's
	lose   context.CancelFunc
}

func (s *session) lost() bool { return s.ctx.Err() != nil }

// receive takes messages until ctx ends or the broker says that it makes no sense to go on. It gives the session that is
// open at the end, if there is one, whose messages are still to be acknowledged.
func (r *run) receive(ctx context.Context) (*session, error) {
	for failures := 0; ; {
		stream, err := r.broker.backend.Consume(ctx, r.group, r.o.Prefetch)
		if err == nil {
			var (
				s    = r.open(ctx, stream)
				some bool
			)
			if some, err = r.receiveFrom(ctx, s); ctx.Err() != nil && !s.lost() {
				return s, nil
			}
			if some {
				failures = 0
			}
			s.lose()
			r.close(s)
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if err != nil && !errors.Is(err, ErrUnavailable) {
			return nil, err
		}
		failures++
		r.o.OnError(fmt.Errorf("group %s: the stream is lost, and will be opened again: %w", r.group.Name, err))
		if !wait(ctx, r.o.Retry.pause(failures)) {
			return nil, nil
		}
	}
}

// open begins a session. It outlives ctx, since messages are acknowledged after that.
func (r *run) open(ctx context.Context, stream Stream) *session {
	own, lose := context.WithCancel(context.WithoutCancel(ctx))
	return &session{stream: stream, ctx: own, lose: lose}
}

// receiveFrom takes messages of one stream until ctx ends or the stream breaks, and tells whether any came.
func (r *run) receiveFrom(ctx context.Context, s *session) (some bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()      // an acknowledgement has failed
	defer context.AfterFunc(ctx, r.intake.wake)() // room waits for that too
	for {
		limit, ok := r.intake.room(ctx)
		if !ok {
			break
		}
		messages, err := s.stream.Receive(ctx, limit)
		if err != nil && ctx.Err() == nil {
			return some, err
		}
		if len(messages) > 0 {
			some = true
			r.intake.add(s, messages)
		}
		if ctx.Err() != nil {
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

// pause is how long to wait after so many failures.
func (r Retry) pause(failures int) time.Duration {
	pause := r.Max
	if doublings := failures - 1; doublings < 32 && r.Initial<<doublings < r.Max && r.Initial<<doublings > 0 {
		pause = r.Initial << doublings
	}
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // no secret
}

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
