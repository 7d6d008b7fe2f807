package admin

import (
	"context"
	"iter"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Tail says which end of the log to show, and whether to go on with it.
type Tail struct {
	// From is the first position to show. 0: the newest Last events.
	From event.Position

	// Last is how many events to begin with where From is 0. Defaults to 0: only what comes from now on.
	Last int

	// Follow goes on with what is appended later, until the context ends. Defaults to false.
	Follow bool

	// Filter restricts what is shown; the backend applies it.
	Filter store.Filter

	// Poll is how often to look where the backend does not tell, or a wake-up was lost. Defaults to 1 s.
	Poll time.Duration
}

// Tail yields the end of the log in order, and with Follow what is appended from then on. Ending the context ends a
// Follow without an error.
func (a *Admin) Tail(ctx context.Context, t Tail) iter.Seq2[event.Recorded, error] {
	if t.Poll == 0 {
		t.Poll = time.Second
	}
	return func(yield func(event.Recorded, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := a.tail(ctx, t, func(e event.Recorded) bool { return yield(e, nil) })
		if err != nil && (!t.Follow || ctx.Err() == nil) {
			yield(event.Recorded{}, err)
		}
	}
}

// tail shows up to the head, then waits for the head to move. Wake-ups are asked for before the first look, so that an
// append between the two is not missed.
func (a *Admin) tail(ctx context.Context, t Tail, show func(event.Recorded) bool) error {
	wake, err := a.wake(ctx, t.Follow)
	if err != nil {
		return err
	}
	next, more, err := a.begin(ctx, t, show)
	if err != nil || !more {
		return err
	}
	timer := time.NewTicker(t.Poll)
	defer timer.Stop()
	for {
		head, err := a.store.Head(ctx)
		if err != nil {
			return err
		}
		if head >= next {
			for e, err := range a.store.ReadLog(ctx, store.LogRead{From: next, To: head, Filter: t.Filter}) {
				if err != nil {
					return err
				}
				if !show(e) {
					return nil
				}
			}
			next = head + 1
		}
		if !t.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, open := <-wake:
			if !open {
				wake = nil // the backend has closed: the next look tells why
			}
		case <-timer.C:
		}
	}
}

// begin shows the newest events where no position was given, and says where to go on.
func (a *Admin) begin(ctx context.Context, t Tail, show func(event.Recorded) bool) (next event.Position, more bool, err error) {
	if t.From > 0 {
		return t.From, true, nil
	}
	head, err := a.store.Head(ctx)
	if err != nil || head == 0 {
		return 1, err == nil, err
	}
	if t.Last > 0 {
		events, err := a.last(ctx, t.Last, head, t.Filter)
		if err != nil {
			return 0, false, err
		}
		for _, e := range events {
			if !show(e) {
				return 0, false, nil
			}
		}
	}
	return head + 1, true, nil
}

// wake gives the backend's wake-ups; nil, which never receives, where it has none or nobody follows.
func (a *Admin) wake(ctx context.Context, follow bool) (<-chan struct{}, error) {
	waker, ok := a.store.Backend().(store.Waker)
	if !ok || !follow {
		return nil, nil
	}
	return waker.Wake(ctx)
}
