package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/store"
)

// Info says on behalf of which delivery the handler of a command is called.
type Info struct {
	ID      string
	Due     time.Time // when it was to be delivered
	Attempt int       // from 1
	// Key is the same at each attempt, and of no other delivery. Give it to partners as the idempotency key.
	Key event.ID
}

type infoKey struct{}

// InfoFrom gives the Info of the delivery that is made with this context; ok is false outside of deliveries.
func InfoFrom(ctx context.Context) (info Info, ok bool) {
	info, ok = ctx.Value(infoKey{}).(Info)
	return info, ok
}

// outcome is what came of an attempt.
type outcome struct {
	found *found
	err   error
}

// maxInterruptions is how often an attempt may be begun of which nothing is heard any more: more than so many restarts, and
// the delivery is what kills its process.
const maxInterruptions = 10

// make makes a delivery, and sends what came of it to the lane.
func (l *lane) make(ctx context.Context, f *found) {
	l.all.Go(func() {
		var err error
		if f.Kind == KindCommand && f.Interruptions > maxInterruptions {
			err = Permanent(fmt.Errorf("it was begun %d times, and nothing was heard of it any more", f.Interruptions))
		} else {
			err = l.attempt(ctx, &f.entry, f.id, f.Attempts+1)
		}
		select {
		case l.done <- outcome{f, err}:
		case <-l.gone:
		}
	})
}

// attempt makes a delivery once.
func (s *Scheduler) attempt(ctx context.Context, e *entry, id string, number int) error {
	if e.Kind == KindEvent {
		_, err := s.store.Append(ctx, e.Stream, store.Any(), e.pending(id))
		return err
	}
	if s.o.Commands == nil {
		return errors.New("this process has no command bus: set Options.Commands")
	}
	command, err := s.o.Schema.Decode(e.recorded(id))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.Timeout, errTimeout)
	defer cancel()
	m := e.Metadata.Clone()
	m.CausationID = e.key(id).String()
	info := Info{ID: id, Due: time.UnixMicro(e.Due).UTC(), Attempt: number, Key: e.key(id)}
	inner := event.WithMetadata(context.WithValue(ctx, infoKey{}, info), m)
	result := make(chan error, 1) // so that one that comes late is not waited for
	go func() { result <- dispatch(inner, s.o.Commands, command) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), errTimeout) {
			return fmt.Errorf("%w: %v", errTimeout, s.o.Timeout)
		}
		return ctx.Err()
	}
}

var errTimeout = errors.New("it did not end in time")

// dispatch calls the bus, which is the user's and may panic.
func dispatch(ctx context.Context, bus Dispatcher, command any) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panics.New(fmt.Sprintf("command %T", command), value)
		}
	}()
	_, err = bus.Dispatch(ctx, command)
	return err
}
