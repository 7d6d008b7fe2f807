package saga

import (
	"fmt"
	"slices"
	"time"
)

// maxVisits is how often one step may be come to: a loop whose exit never opens must end.
const maxVisits = 1000

// plan gives what follows at once from the state; nothing where it has to wait. It is called again with what it gave taken
// in, until it gives nothing.
func (d *Definition[D]) plan(s *state, env *planning) ([]*entry, error) {
	if s.phase == phaseCompensating {
		return d.planBack(s, env), nil
	}
	data, err := decodeData[D](s.data)
	if err != nil {
		return nil, err
	}
	if s.stage == "" {
		return d.enter(s, d.steps[0].Name, data, env), nil
	}
	var failed *task
	waiting := false
	for _, t := range s.tasks {
		if t.stage != s.stage || t.visit != s.visit || t.kind != taskAction && t.kind != taskSignal {
			continue
		}
		switch {
		case t.open() && t.kind == taskSignal:
			if e := d.receive(s, t, env.now); e != nil {
				return []*entry{e}, nil
			}
			waiting = true
		case t.open():
			waiting = true
		case t.status == taskFailed && failed == nil:
			failed = t
		}
	}
	if waiting {
		return nil, nil
	}
	at, known := d.index[s.stage]
	if !known {
		return nil, fmt.Errorf("step %q: version %d of the saga has no such step", s.stage, d.version)
	}
	if failed == nil {
		return d.enter(s, d.next(at, data), data, env), nil
	}
	reason := fmt.Sprintf("step %s: %s", failed.step, failed.err)
	switch {
	case d.steps[at].OnFailure != "":
		return d.enter(s, d.steps[at].OnFailure, data, env), nil
	case env.noCompensation:
		return []*entry{{kind: typeEnded, Status: StatusFailed, Reason: reason}}, nil
	}
	return []*entry{{kind: typeCompensating, Reason: reason}}, nil
}

// next is where success in a step leads to.
func (d *Definition[D]) next(at int, data D) string {
	for _, jump := range d.steps[at].Next {
		if jump.When == nil || jump.When(data) {
			return jump.To
		}
	}
	return d.below(at)
}

// enter begins a step.
func (d *Definition[D]) enter(s *state, name string, data D, env *planning) []*entry {
	if name == End {
		return []*entry{{kind: typeEnded, Status: StatusCompleted}}
	}
	step, visit := d.byName[name], s.visits[name]+1
	if visit > maxVisits {
		return []*entry{{kind: typeEnded, Status: StatusFailed, Reason: fmt.Sprintf("step %s was come to %d times", name, maxVisits)}}
	}
	if step.When != nil && !step.When(data) {
		return []*entry{{kind: typeStepSkipped, Stage: name, Step: name, Visit: visit}}
	}
	if len(step.Parallel) == 0 {
		return []*entry{begin(step, name, visit, env.now)}
	}
	var entries []*entry
	for i := range step.Parallel {
		branch := &step.Parallel[i]
		if branch.When != nil && !branch.When(data) {
			entries = append(entries, &entry{kind: typeStepSkipped, Stage: name, Step: branch.Name, Visit: visit})
			continue
		}
		entries = append(entries, begin(branch, name, visit, env.now))
	}
	return entries
}

func begin[D any](step *Step[D], stage string, visit int, now time.Time) *entry {
	e := &entry{kind: typeStepStarted, Stage: stage, Step: step.Name, Visit: visit}
	if step.Await.Signal != "" {
		e.kind, e.Signal = typeSignalAwaited, step.Await.Signal
		if step.Await.Within > 0 {
			e.Due = now.Add(step.Await.Within).UTC().Truncate(time.Microsecond)
		}
	}
	return e
}

// receive settles a task that awaits a signal, where that is there or too late.
func (d *Definition[D]) receive(s *state, t *task, now time.Time) *entry {
	step := d.byName[t.step]
	if step == nil {
		return &entry{kind: typeStepFailed, Task: t.number, Step: t.step, Error: "this version of the saga has no such step"}
	}
	name := step.Await.Signal
	i := slices.IndexFunc(s.inbox, func(r received) bool { return r.name == name })
	if i < 0 {
		if t.due.IsZero() || now.Before(t.due) {
			return nil
		}
		return &entry{kind: typeStepFailed, Task: t.number, Step: t.step, Error: fmt.Sprintf("no signal %s came until %s", name, t.due.Format(time.RFC3339))}
	}
	e := &entry{kind: typeStepSucceeded, Task: t.number, Step: t.step, Signal: name}
	if step.Await.Receive == nil {
		return e
	}
	before, after, err := perform(s.data, func(data *D) error { return step.Await.Receive(data, s.inbox[i].data) })
	if err != nil {
		return &entry{kind: typeStepFailed, Task: t.number, Step: t.step, Error: err.Error()}
	}
	change(e, before, after)
	return e
}

// planBack is the plan of a saga that is being compensated: what is done is undone, the last first, those of one group at
// the same time.
func (d *Definition[D]) planBack(s *state, env *planning) []*entry {
	waiting := false
	var last *task
	for _, t := range s.tasks {
		switch {
		case t.open() && (t.kind == taskCompensation || env.working(t)):
			waiting = true
		case t.open():
			return []*entry{{
				kind: typeStepFailed, Task: t.number, Step: t.step, Attempt: t.attempts + 1, Unknown: t.inFlight || t.unknown,
				Error: "given up, since the saga is being compensated",
			}}
		case t.mayBeDone() && d.compensable(t):
			last = t
		}
	}
	if waiting {
		return nil
	}
	for _, t := range s.tasks {
		if t.kind == taskCompensation && t.status == taskFailed {
			return []*entry{{kind: typeEnded, Status: StatusCompensationFailed, Reason: fmt.Sprintf("compensation of step %s: %s", t.step, t.err)}}
		}
	}
	if last == nil {
		return []*entry{{kind: typeEnded, Status: StatusCompensated, Reason: s.cause}}
	}
	var entries []*entry
	for _, t := range s.tasks {
		if t.stage == last.stage && t.visit == last.visit && t.mayBeDone() && d.compensable(t) {
			entries = append(entries, &entry{kind: typeCompensationStarted, Stage: t.stage, Step: t.step, Visit: t.visit, Of: t.number})
		}
	}
	return entries
}

func (d *Definition[D]) compensable(t *task) bool {
	step := d.byName[t.step]
	return step != nil && step.Compensation != nil
}
