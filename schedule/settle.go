package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/store"
)

// settle writes what came of attempts: most are removed, in one batch. It tries again as long as the backend does not
// answer; where another owner has taken a delivery over meanwhile, what came of it here is void.
func (l *lane) settle(ctx context.Context, outcomes []outcome) error {
	var units []unit
	var dead []*found
	for _, o := range outcomes {
		delete(l.atHand, o.found.at)
		if ops := l.follow(ctx, &o); ops != nil {
			units = append(units, unit{key: o.found.at, ops: ops})
		} else {
			dead = append(dead, o.found)
		}
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	err := l.persevere(ctx, func() error { return l.apply(ctx, units) })
	for _, f := range dead {
		if err == nil {
			err = l.persevere(ctx, func() error { return l.bury(ctx, f) })
		}
	}
	return err
}

// lasting gives a context for the last writes where ctx has ended.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), finishing)
}

// follow gives the operations of what comes next; none: it is a dead letter.
func (l *lane) follow(ctx context.Context, o *outcome) []store.Op {
	f := o.found
	f.Claim = ""
	switch {
	case o.err == nil:
		return l.proceed(f)
	case ctx.Err() != nil: // it was told to stop, which is no failure
		return f.move(f.due)
	case l.kind == KindEvent && outage(o.err): // nor is this
		l.o.OnError(fmt.Errorf("schedule: delivery %s: %w", f.id, o.err))
		return f.move(l.o.Now().Add(l.o.InitialPause).UnixMicro())
	}
	f.Attempts, f.Error = f.Attempts+1, o.err.Error()
	if len(f.Error) > maxErrorBytes {
		f.Error = f.Error[:maxErrorBytes]
	}
	l.o.OnError(fmt.Errorf("schedule: delivery %s: attempt %d of %d: %w", f.id, f.Attempts, l.o.Attempts, o.err))
	if permanent(o.err) || f.Attempts >= l.o.Attempts {
		return nil
	}
	return f.move(l.o.Now().Add(l.o.pause(f.Attempts)).UnixMicro())
}

// maxErrorBytes bounds what is kept of an error.
const maxErrorBytes = 1024

// proceed gives the operations that follow when a delivery is made: it is removed, or waits for its next time.
func (l *lane) proceed(f *found) []store.Op {
	due, again, err := l.next(&f.entry)
	if err != nil || !again { // an error was seen before it was made
		return f.remove()
	}
	f.Due, f.Attempts, f.Interruptions, f.Error = due, 0, 0, ""
	return f.move(due)
}

// release lets go of what is at hand when there is no more time for it, so that the next owner need not count it as an
// interruption.
func (l *lane) release(ctx context.Context) {
	ctx, cancel := lasting(ctx)
	defer cancel()
	var units []unit
	for _, f := range l.atHand {
		released := *f // the attempt may still look at it
		released.Claim = ""
		units = append(units, unit{key: f.at, ops: released.move(f.due)})
	}
	if err := l.apply(ctx, units); err != nil {
		l.o.OnError(fmt.Errorf("schedule: agenda %s: %w", l.prefix, err))
	}
}

// persevere calls fn again while the backend is at fault.
func (l *lane) persevere(ctx context.Context, fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
			return err
		}
		l.fault(l.prefix, err)
		l.o.OnError(fmt.Errorf("schedule: agenda %s: %w", l.prefix, err))
		timer := time.NewTimer(faultPause(try))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}
