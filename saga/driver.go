package saga

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/store"
)

// driver brings one instance on, as long as there is something to do. Its own goroutine does all but the tasks.
type driver struct {
	*lane
	id     string
	begin  func(Definer, *task)     // begins an attempt
	wait   func(time.Duration) bool // before the next try at a backend that is at fault; false: give up
	newest event.Version            // of the stream, as far as is known; guarded by lane.mu
	wake   chan struct{}            // capacity 1: newest has grown

	due      int64 // what the agenda said; 0: nothing
	state    *state
	running  map[int]*attempt // by task
	outcomes chan outcome
	gone     chan struct{} // closed when nobody receives outcomes any more
	version  atomic.Int64  // that state has
}

func (d *driver) run() {
	defer d.abandon()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var settled *outcome
	for {
		if d.outdated() && !d.reload() {
			return
		}
		err := d.advance(settled)
		if errors.Is(err, store.ErrConflict) {
			d.state = nil // somebody else has appended
			continue
		}
		if err != nil {
			d.complain(err)
			return
		}
		settled = nil
		if len(d.running) == 0 && (isClosed(d.stopping) || d.idle() && d.leave(d)) {
			return
		}
		timer.Reset(d.pause())
		select {
		case o := <-d.outcomes:
			settled = &o
		case <-timer.C:
		case <-d.wake:
		case <-d.stopping:
			if !d.drain() {
				return
			}
		case <-d.ctx.Done():
			return
		}
	}
}

// abandon lets go of the tasks that run.
func (d *driver) abandon() {
	close(d.gone)
	for _, a := range d.running {
		a.cancel()
	}
}

// drain waits for the tasks that run, and takes down what comes of them.
func (d *driver) drain() bool {
	for len(d.running) > 0 {
		select {
		case o := <-d.outcomes:
			for {
				err := d.advance(&o)
				if err == nil {
					break
				}
				d.state = nil
				if !errors.Is(err, store.ErrConflict) || !d.reload() {
					d.complain(err)
					return false
				}
			}
		case <-d.ctx.Done():
			return false
		}
	}
	return true
}

func (d *driver) complain(err error) {
	if d.ctx.Err() == nil {
		d.o.OnError(named("saga", d.name, d.id, err))
	}
}

func (d *driver) outdated() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state == nil || d.newest > d.state.version
}

// reload folds the instance anew, and waits while the backend does not answer. It gives false where that is of no use.
func (d *driver) reload() bool {
	for try := 1; ; try++ {
		s, err := load(d.ctx, d.log, d.name, d.id)
		if err == nil {
			d.state = s
			d.version.Store(int64(s.version))
			break
		}
		if errors.Is(err, ErrUnknown) || d.ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
			return false
		}
		d.complain(err)
		if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrIncompatible) || !d.sleep(try) {
			return false
		}
	}
	for number, a := range d.running {
		if t, err := d.state.task(number); err != nil || !t.open() || t.claims != a.claim || d.state.phase == phaseEnded {
			a.cancel() // another owner has taken it over, or it is not wanted any more
			delete(d.running, number)
		}
	}
	return true
}

// sleep waits before the next try after a fault of the backend.
func (d *driver) sleep(try int) bool {
	return d.wait(min(50*time.Millisecond<<min(try, 6), 2*time.Second))
}

// waitFor waits unless the partition must be left meanwhile.
func (l *lane) waitFor(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// idle reports whether nothing is to be done soon. One that the agenda says is at work must not be left, since nobody
// would come back to it.
func (d *driver) idle() bool { return d.pause() > linger && d.state.indexed.Due != dueNow }

// pause is how long there is nothing to do but to wait.
func (d *driver) pause() time.Duration {
	s := d.state
	if s.halted() {
		return time.Hour
	}
	wake := s.wake()
	if wake.IsZero() {
		return time.Hour
	}
	return max(0, wake.Sub(d.o.Now()))
}

// advance takes in what came of a task, plans what follows, appends both in one, and begins what is to be done then. What
// the store refuses to take, since it is too large, makes the attempt or the instance fail.
func (d *driver) advance(o *outcome) error {
	err := d.step(o, nil)
	if !errors.Is(err, store.ErrTooLarge) && !errors.Is(err, store.ErrInvalid) {
		return err
	}
	refused := fmt.Errorf("what came of it cannot be stored: %w", err)
	if d.state = nil; !d.reload() {
		return err
	}
	if o != nil {
		failed := *o
		failed.err = Permanent(Unknown(refused))
		if err = d.step(&failed, nil); err == nil || errors.Is(err, store.ErrConflict) {
			return err
		}
		if d.state = nil; !d.reload() {
			return err
		}
	}
	return d.step(nil, refused)
}

// step is one try of advance. With a fault the instance fails by that, in place of what would follow.
func (d *driver) step(o *outcome, fault error) error {
	draft := newDraft(d.state, d.o.Now())
	stopping := isClosed(d.stopping)
	if o != nil {
		if err := d.settle(draft, o); err != nil {
			return err
		}
	}
	switch {
	case fault != nil:
		if err := draft.add(&entry{kind: typeEnded, Status: draft.failure(), Reason: shortened(fault.Error())}); err != nil {
			return err
		}
	case !stopping:
		if err := d.follow(draft); err != nil {
			return err
		}
		// Where others have said that it is urgent, but it is not, the agenda must learn when it is.
		if len(draft.entries) == 0 && d.state.indexed.Due == dueNow && d.state.summarize(draft.now, false).Due != dueNow {
			if err := draft.add(&entry{kind: typeIdle}); err != nil {
				return err
			}
		}
	}
	if err := d.persist(draft, stopping && o != nil); err != nil {
		return err
	}
	d.version.Store(int64(d.state.version))
	if o != nil && d.running[o.task] != nil && d.running[o.task].claim == o.claim {
		delete(d.running, o.task)
	}
	if !stopping && !d.state.halted() {
		d.launch()
	}
	return nil
}

// follow adds to a draft all that follows at once.
func (d *driver) follow(draft *draft) error {
	s := draft.state
	definition := d.versions[s.definition]
	switch {
	case s.expired:
		if d.unlisted(s) { // by one who has not come to the rest
			d.bury(d.ctx, d.id, s.version, d.due)
		}
		return nil
	case s.phase == phaseNone:
		return nil
	case s.phase == phaseEnded:
		if at := s.expiry(); at > 0 && at <= draft.now.UnixMicro() {
			return draft.add(&entry{kind: typeExpired})
		}
		return nil
	case s.suspended || s.failed():
		return nil
	case definition == nil && s.parked:
		return nil
	case definition == nil:
		return draft.add(&entry{kind: typeParked, Reason: d.missing(s.definition)})
	case s.parked:
		if err := draft.add(&entry{kind: typeResumed, Reason: "its definition is here"}); err != nil {
			return err
		}
	}
	env := &planning{now: draft.now, noCompensation: d.o.NoCompensation, working: func(t *task) bool { return d.running[t.number] != nil }}
	for !s.halted() {
		entries, err := plan(definition, s, env)
		if err != nil {
			entries = []*entry{{kind: typeEnded, Status: StatusFailed, Reason: shortened(err.Error())}}
		}
		if len(entries) == 0 {
			entries = d.claim(definition, draft)
		}
		if len(entries) == 0 {
			return nil
		}
		if err := draft.add(entries...); err != nil {
			return err
		}
	}
	return nil
}

// plan calls the definition's, whose functions may panic.
func plan(definition Definer, s *state, env *planning) (entries []*entry, err error) {
	defer func() {
		if value := recover(); value != nil {
			entries, err = nil, panics.New("plan", value)
		}
	}()
	return definition.plan(s, env)
}

// claim gives the events that say that this driver begins tasks which nobody has begun, or another one.
func (d *driver) claim(definition Definer, draft *draft) []*entry {
	var numbers []int
	for _, t := range draft.tasks {
		if !t.open() || t.kind == taskSignal {
			continue
		}
		if d.running[t.number] == nil && !draft.begun[t.number] && !t.retryAt.After(draft.now) {
			if t.interruptions >= maxInterruptions {
				return []*entry{{
					kind: t.failure(), Task: t.number, Step: t.step, Attempt: t.attempts + 1, Unknown: true,
					Error: fmt.Sprintf("it was begun %d times, and nothing was heard of it any more", t.interruptions+1),
				}}
			}
			numbers = append(numbers, t.number)
		}
		if definition.sequential() {
			break
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	return []*entry{{kind: typeAttempted, Tasks: numbers, Owner: d.owner}}
}

// persist appends a draft, again while the backend is at fault: the ids tell it from a second one.
func (d *driver) persist(draft *draft, urgent bool) error {
	c, err := draft.commit(urgent)
	if err != nil || len(draft.entries) == 0 {
		return err
	}
	for try := 1; ; try++ {
		_, err := d.log.Commit(d.ctx, c)
		if err == nil || !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		d.complain(err)
		if !d.sleep(try) {
			return err
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
