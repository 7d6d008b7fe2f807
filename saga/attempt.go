package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
)

// attempt is a task that is being done.
type attempt struct {
	claim  int
	cancel context.CancelFunc
}

// outcome is what came of an attempt.
type outcome struct {
	task, claim   int
	before, after json.RawMessage
	err           error
}

// Info says on whose behalf an action, a compensation or the handler of a command is called.
type Info struct {
	Saga    string
	ID      string // of the instance
	Step    string // or the name of the command
	Attempt int    // from 1
	// Key is the same at each attempt, and of no other task. Give it to partners as the idempotency key.
	Key event.ID
	// Undoes is, in a compensation, the key that the action had which is undone. A partner who takes that back should
	// refuse it from then on: an attempt that was given up may still be on its way to him.
	Undoes event.ID
}

type infoKey struct{}

// InfoFrom gives the Info of the task that runs with this context; ok is false outside of tasks.
func InfoFrom(ctx context.Context) (info Info, ok bool) {
	info, ok = ctx.Value(infoKey{}).(Info)
	return info, ok
}

// launch begins the tasks that are this driver's and do not run yet.
func (d *driver) launch() {
	definition := d.versions[d.state.definition]
	for _, t := range d.state.tasks {
		if t.open() && t.inFlight && d.running[t.number] == nil {
			d.begin(definition, t)
		}
	}
}

// info is what the task is told of itself.
func (s *state) info(t *task) Info {
	info := Info{Saga: s.saga, ID: s.id, Step: t.step, Attempt: t.attempts + 1, Key: t.key(s.stream)}
	if undone, err := s.task(t.of); err == nil {
		info.Undoes = undone.key(s.stream)
	}
	return info
}

// inside gives the context in which a task is done.
func (s *state) inside(ctx context.Context, info Info) context.Context {
	m := s.metadata()
	m.CausationID = info.Key.String()
	return event.WithMetadata(context.WithValue(ctx, infoKey{}, info), m)
}

// spawn does a task in goroutines of its own.
func (d *driver) spawn(definition Definer, t *task) {
	s := d.state
	_, timeout := definition.retry(t, &d.o)
	ctx, cancel := context.WithTimeoutCause(d.ctx, timeout, errTimeout)
	copied := *t
	d.running[t.number] = &attempt{claim: t.claims, cancel: cancel}
	inner := s.inside(ctx, s.info(t))
	data := s.data
	results := make(chan outcome, 1) // so that one that comes late is not waited for
	go func() {
		o := outcome{task: copied.number, claim: copied.claims}
		o.before, o.after, o.err = do(inner, definition, &copied, data)
		results <- o
	}()
	d.all.Go(func() {
		defer cancel()
		var o outcome
		select {
		case o = <-results:
		case <-ctx.Done():
			o = d.late(ctx, results, outcome{task: copied.number, claim: copied.claims}, timeout)
		}
		select {
		case d.outcomes <- o:
		case <-d.gone:
		}
	})
}

// finishing is how long an action may take to return when its context has ended since this process must stop.
const finishing = 5 * time.Second

// late is the outcome of an attempt whose context has ended.
func (d *driver) late(ctx context.Context, results <-chan outcome, o outcome, timeout time.Duration) outcome {
	if errors.Is(context.Cause(ctx), errTimeout) {
		o.err = timedOut(timeout)
		return o
	}
	timer := time.NewTimer(finishing)
	defer timer.Stop()
	select {
	case o = <-results:
	case <-timer.C:
		o.err = ctx.Err()
	}
	return o
}

// timedOut is the error of an attempt that did not end in time.
func timedOut(timeout time.Duration) error {
	return &unknownOutcome{fmt.Errorf("%w: %v", errTimeout, timeout)}
}

// do calls the definition's, which may panic.
func do(ctx context.Context, definition Definer, t *task, data json.RawMessage) (before, after json.RawMessage, err error) {
	defer recovered(t, &err)
	return definition.do(ctx, t, data)
}

// recovered turns a panic into an error; it is to be deferred.
func recovered(t *task, err *error) {
	if value := recover(); value != nil {
		*err = &unknownOutcome{panics.New("step "+t.step, value)}
	}
}

// success and failure are the types of the events that settle a task.
func (t *task) success() string {
	switch t.kind {
	case taskCompensation:
		return typeCompensationSucceeded
	case taskCommand:
		return typeCommandConfirmed
	}
	return typeStepSucceeded
}

func (t *task) failure() string {
	switch t.kind {
	case taskCompensation:
		return typeCompensationFailed
	case taskCommand:
		return typeCommandFailed
	}
	return typeStepFailed
}

// settle adds what came of an attempt to a draft, unless that is void.
func (d *driver) settle(draft *draft, o *outcome) error {
	t, err := draft.task(o.task)
	switch {
	case err != nil:
		return err
	case !t.open() || t.claims != o.claim || draft.phase == phaseEnded:
		return nil
	case o.err != nil && isClosed(d.ctx.Done()):
		return nil // it was told to stop, which is no failure
	}
	if o.err == nil {
		e := &entry{kind: t.success(), Task: t.number, Step: t.step, Attempt: t.attempts + 1}
		if t.kind != taskCommand {
			change(e, o.before, o.after)
		}
		return draft.add(e)
	}
	policy, _ := d.versions[draft.definition].retry(t, &d.o)
	e := &entry{kind: t.failure(), Task: t.number, Step: t.step, Attempt: t.attempts + 1, Error: shortened(o.err.Error()), Unknown: isUnknown(o.err)}
	if !isPermanent(o.err) && e.Attempt < policy.Attempts {
		e.RetryAt = draft.now.Add(policy.pause(e.Attempt, d.vary)).Truncate(time.Microsecond)
	}
	d.o.OnError(named("saga", d.name, d.id, fmt.Errorf("attempt %d of %d at %s: %w", e.Attempt, policy.Attempts, t.step, o.err)))
	return draft.add(e)
}
