package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// Control looks into and steers instances from whichever process: it appends to their streams, and those that run them
// see it. It needs no definitions. It is safe for concurrent use.
type Control struct {
	log *store.Store
	now func() time.Time
}

// ControlOptions are the settings of a Control; the zero value works.
type ControlOptions struct {
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// NewControl gives the control over the sagas of a store. It does no I/O.
func NewControl(log *store.Store, o ControlOptions) *Control {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Control{log: log, now: o.Now}
}

// Control gives the control over the sagas of the set's store.
func (s *Set) Control() *Control { return NewControl(s.log, ControlOptions{Now: s.o.Now}) }

// Retry lets what has failed for good be tried again with all its attempts: a step or command of a failed instance, a
// compensation of one whose compensation has failed. A pause before the next attempt is ended; a signal that did not come in time
// is awaited as long again. One that has nothing of
// that gives ErrRefused.
func (c *Control) Retry(ctx context.Context, saga, id, by string) error {
	return c.change(ctx, "retry saga", saga, id, func(d *draft) error {
		e := &entry{kind: typeRetried, By: by}
		for _, t := range d.tasks {
			failed := t.status == taskFailed && d.failed() && !t.undone && d.blocking(t)
			if failed || t.open() && !t.retryAt.IsZero() {
				e.Tasks = append(e.Tasks, t.number)
			}
		}
		if len(e.Tasks) == 0 && !d.failed() && !d.parked {
			return fmt.Errorf("%w: it is %s, and nothing in it has failed", ErrRefused, d.currentStatus())
		}
		return d.add(e)
	})
}

// blocking reports whether a failed task is why the instance stands still.
func (s *state) blocking(t *task) bool {
	switch {
	case s.status == StatusCompensationFailed:
		return t.kind == taskCompensation
	case t.kind == taskCommand:
		return true
	}
	return t.kind != taskCompensation && t.stage == s.stage && t.visit == s.visit
}

// Compensate gives an orchestrated saga up: what is being done is waited for, and then all that is done is undone.
func (c *Control) Compensate(ctx context.Context, saga, id, by, reason string) error {
	return c.change(ctx, "compensate saga", saga, id, func(d *draft) error {
		switch {
		case d.style == styleManager:
			return fmt.Errorf("%w: a process manager has no compensations", ErrRefused)
		case d.phase == phaseCompensating:
			return fmt.Errorf("%w: it is %s already; retry goes on after a failure", ErrRefused, d.currentStatus())
		}
		return d.add(&entry{kind: typeCompensating, By: by, Reason: reasonOf("compensation was asked for", by, reason)})
	})
}

// Cancel ends an instance as it is. Nothing is undone, and what is being done is not waited for.
func (c *Control) Cancel(ctx context.Context, saga, id, by, reason string) error {
	return c.change(ctx, "cancel saga", saga, id, func(d *draft) error {
		return d.add(&entry{kind: typeEnded, Status: StatusCancelled, By: by, Reason: reasonOf("cancelled", by, reason)})
	})
}

// Suspend lets what is being done end, and begins nothing more until Resume.
func (c *Control) Suspend(ctx context.Context, saga, id, by, reason string) error {
	return c.change(ctx, "suspend saga", saga, id, func(d *draft) error {
		if d.suspended {
			return fmt.Errorf("%w: it is suspended already", ErrRefused)
		}
		return d.add(&entry{kind: typeSuspended, By: by, Reason: reasonOf("suspended", by, reason)})
	})
}

// Resume ends a suspension. Timers and deadlines that came due meanwhile are late now, and fire at once.
func (c *Control) Resume(ctx context.Context, saga, id, by string) error {
	return c.change(ctx, "resume saga", saga, id, func(d *draft) error {
		if !d.suspended {
			return fmt.Errorf("%w: it is not suspended, it is %s", ErrRefused, d.currentStatus())
		}
		return d.add(&entry{kind: typeResumed, By: by})
	})
}

// Signal hands a signal to an instance, which may await it now or later. With the same key twice it is handed over once;
// a zero key makes each call a signal of its own. One that the definition does not know is ErrRefused.
func (c *Control) Signal(ctx context.Context, saga, id, signal string, data any, key event.ID) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return named("signal saga", saga, id, fmt.Errorf("data of type %T cannot be encoded: %w: %w", data, store.ErrInvalid, err))
	}
	if !key.IsZero() {
		key = event.DerivedID(event.DerivedID(key, signal), string(streamOf(saga, id)))
	}
	return c.change(ctx, "signal saga", saga, id, func(d *draft) error {
		if !slices.Contains(d.signals, signal) {
			known := "it awaits none"
			if len(d.signals) > 0 {
				known = "it knows " + strings.Join(d.signals, ", ")
			}
			return fmt.Errorf("%w: no signal %q is known to it: %s", ErrRefused, signal, known)
		}
		if !key.IsZero() && d.handled[key] {
			return errUnchanged
		}
		return d.add(&entry{kind: typeSignalReceived, id: key, Signal: signal, Data: raw})
	})
}

// errUnchanged says that there is nothing to append.
var errUnchanged = errors.New("unchanged")

// change appends what do adds to an instance that has not ended; again where somebody else was faster.
func (c *Control) change(ctx context.Context, what, saga, id string, do func(*draft) error) error {
	for {
		s, err := c.load(ctx, saga, id)
		if err == nil && s.phase == phaseEnded {
			err = fmt.Errorf("%w: it is %s", ErrEnded, s.currentStatus())
		}
		if err != nil {
			return named(what, saga, id, err)
		}
		d := newDraft(s, c.now())
		if err = do(d); err == nil {
			err = d.append(ctx, c.log, true)
		}
		switch {
		case err == nil, errors.Is(err, errUnchanged):
			return nil
		case !errors.Is(err, store.ErrConflict):
			return named(what, saga, id, err)
		}
	}
}

// load gives an instance that has begun, and was not removed.
func (c *Control) load(ctx context.Context, saga, id string) (*state, error) {
	if err := errors.Join(validateName(saga), validateID("id", id)); err != nil {
		return nil, err
	}
	s, err := load(ctx, c.log, saga, id)
	if err == nil && s.expired {
		err = ErrUnknown
	}
	if errors.Is(err, ErrUnknown) {
		return nil, fmt.Errorf("%w instance: it never began, or was removed after it had ended", ErrUnknown)
	}
	return s, err
}

// Rebuild forgets the index of a saga, which is then made anew from the log by those that run it next. It is needed when
// the number of partitions changes. While somebody runs the saga it gives subscription.ErrRunning.
func (c *Control) Rebuild(ctx context.Context, saga string) error {
	err := validateName(saga)
	if err == nil {
		err = subscription.NewControl(c.log).Delete(ctx, feedName(saga))
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
	}
	for _, bucket := range []string{instanceBucket, statusBucket, correlationBucket, agendaBucket} {
		if err == nil {
			err = c.clear(ctx, bucket, saga+"/")
		}
	}
	if err != nil {
		return fmt.Errorf("rebuild the index of saga %s: %w", saga, err)
	}
	return nil
}

func (c *Control) clear(ctx context.Context, bucket, prefix string) error {
	for {
		scan := store.Prefix(bucket, prefix)
		scan.Limit = agendaPage
		var ops []store.Op
		for r, err := range c.log.Scan(ctx, scan) {
			if err != nil {
				return err
			}
			ops = append(ops, store.Delete(bucket, r.Key))
		}
		if len(ops) == 0 {
			return nil
		}
		if _, err := c.log.Apply(ctx, ops...); err != nil {
			return err
		}
	}
}

func reasonOf(what, by, reason string) string {
	if by != "" {
		what += " by " + by
	}
	if reason != "" {
		what += ": " + reason
	}
	return what
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
func isConflict(err error) bool { return errors.Is(err, store.ErrConflict) }
