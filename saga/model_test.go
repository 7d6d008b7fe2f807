package saga_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

// spec is a definition as plain data, from which both the saga and the model of it are made.
type spec struct {
	Steps          []specStep
	NoCompensation bool
}

type specStep struct {
	Name      string
	Signal    string     // in place of an action
	Branches  []specStep // in place of both
	Undo      bool       // it has a compensation
	When      int        // see holds
	Next      []specJump
	OnFailure string
	Attempts  int // of the action and of the compensation
}

type specJump struct {
	To    string
	When  int
	Times int // if not 0, only while the step has succeeded less often
}

// tally is the data: how often each step has succeeded.
type tally = map[string]int

func sum(t tally) (n int) {
	for name, count := range t {
		if !strings.HasPrefix(name, "undo ") {
			n += count
		}
	}
	return n
}

// holds tells of the conditions: always, never, and two that depend on the data.
func holds(when int, t tally) bool {
	switch when {
	case 1:
		return false
	case 2:
		return sum(t)%2 == 0
	case 3:
		return sum(t)%3 != 1
	}
	return true
}

func (j *specJump) open(step string, t tally) bool {
	return holds(j.When, t) && (j.Times == 0 || t[step] < j.Times)
}

const awaitsFor = time.Hour

// definition makes the saga of a spec. Its actions take down in the world outside that they were called.
func (s *spec) definition(w *outside, version int) (*saga.Definition[tally], error) {
	var make1 func(at *specStep) saga.Step[tally]
	make1 = func(at *specStep) saga.Step[tally] {
		retry := saga.Retry{Attempts: at.Attempts, Initial: 10 * time.Second, Max: time.Minute}
		step := saga.Step[tally]{Name: at.Name, OnFailure: at.OnFailure, Timeout: time.Minute}
		if at.When != 0 {
			step.When = func(t tally) bool { return holds(at.When, t) }
		}
		for i := range at.Next {
			j := at.Next[i]
			jump := saga.Jump[tally]{To: j.To}
			if j.When != 0 || j.Times != 0 {
				jump.When = func(t tally) bool { return j.open(at.Name, t) }
			}
			step.Next = append(step.Next, jump)
		}
		count := func(name string) saga.Action[tally] {
			return func(ctx context.Context, t *tally) error {
				(*t)[name]++
				return w.book(ctx, name)
			}
		}
		switch {
		case at.Signal != "":
			step.Await = saga.Await[tally]{Signal: at.Signal, Within: awaitsFor, Receive: func(t *tally, _ json.RawMessage) error { (*t)[at.Name]++; return nil }}
		case len(at.Branches) > 0:
			for i := range at.Branches {
				step.Parallel = append(step.Parallel, make1(&at.Branches[i]))
			}
		default:
			step.Action, step.Retry = count(at.Name), retry
			if at.Undo {
				step.Compensation, step.CompensationRetry = count("undo "+at.Name), retry
			}
		}
		return step
	}
	var steps []saga.Step[tally]
	for i := range s.Steps {
		steps = append(steps, make1(&s.Steps[i]))
	}
	return saga.Define("walk", version, steps...)
}

// outside counts effects by key: what of each kind was done in the world, heard of or not.
type outside struct {
	done  map[event.ID]string
	undid map[event.ID]event.ID // by the key of the action, that of the compensation
}

func (w *outside) book(ctx context.Context, name string) error {
	info, _ := saga.InfoFrom(ctx)
	if was, known := w.done[info.Key]; known && was != name {
		return saga.Permanent(fmt.Errorf("key %s is of %s and of %s", info.Key, was, name))
	}
	w.done[info.Key] = name
	if !info.Undoes.IsZero() {
		w.undid[info.Undoes] = info.Key
	}
	return nil
}

// fact is an event of the history, read without the package that wrote it.
type fact struct {
	what    string
	at      time.Time
	Task    int
	Tasks   []int
	Stage   string
	Step    string
	Visit   int
	Of      int
	Attempt int
	Error   string
	Unknown bool
	RetryAt time.Time `json:"retry_at"`
	Due     time.Time
	Signal  string
	Status  saga.Status
	By      string
	Was     *factIndex
	Now     *factIndex
}

type factIndex struct {
	S saga.Status
	D int64
}

func factsOf(log *store.Store, stream event.StreamID) ([]fact, error) {
	var facts []fact
	for r, err := range log.ReadStream(context.Background(), store.StreamRead{Stream: stream}) {
		if err != nil {
			return nil, err
		}
		f := fact{what: strings.TrimPrefix(r.Type, "saga."), at: r.OccurredAt}
		if err := json.Unmarshal(r.Data, &f); err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	return facts, nil
}

// model takes in a history fact by fact, and refuses the first that must not be. It was written from the documentation, and
// shares no code with the package.
type model struct {
	spec      *spec
	stream    event.StreamID
	steps     map[string]*specStep // of all
	tops      []string
	tally     tally
	tasks     []*modelTask
	visits    map[string]int
	stage     string
	visit     int
	left      []string // branches that are still to begin or to be skipped
	expect    string   // the stage that must come next; "undo": compensation; "": nothing may begin
	started   bool
	undoing   bool
	ended     saga.Status
	failed    saga.Status
	suspended bool
	parked    bool
	inbox     map[string]int
	index     factIndex
	expired   bool
}

type modelTask struct {
	kind, stage, step       string
	visit, of               int
	open, done, undone      bool
	inFlight, unknown       bool
	claimed                 bool // by who owns the instance now
	attempts, interruptions int
	retryAt, due            time.Time
	key                     event.ID
}

func newModel(s *spec, stream event.StreamID) *model {
	m := &model{spec: s, stream: stream, steps: map[string]*specStep{}, tally: tally{}, visits: map[string]int{}, inbox: map[string]int{}}
	for i := range s.Steps {
		m.tops = append(m.tops, s.Steps[i].Name)
		m.steps[s.Steps[i].Name] = &s.Steps[i]
		for j := range s.Steps[i].Branches {
			m.steps[s.Steps[i].Branches[j].Name] = &s.Steps[i].Branches[j]
		}
	}
	return m
}

// take takes in a fact.
func (m *model) take(f *fact) error {
	if m.ended != "" && f.what != "expired" {
		return fmt.Errorf("it comes after the end")
	}
	if !m.started && f.what != "started" {
		return fmt.Errorf("it comes before the start")
	}
	if f.Now != nil {
		was := factIndex{}
		if f.Was != nil {
			was = *f.Was
		}
		if was != m.index {
			return fmt.Errorf("it says that the index was %v, which was %v", was, m.index)
		}
		m.index = *f.Now
	}
	var err error
	switch f.what {
	case "started":
		if m.started {
			return fmt.Errorf("it is the second start")
		}
		m.started, m.expect = true, m.tops[0]
	case "step_started", "signal_awaited", "step_skipped":
		err = m.enter(f)
	case "step_succeeded", "compensation_succeeded":
		err = m.succeed(f)
	case "step_failed", "compensation_failed":
		err = m.fail(f)
	case "compensation_started":
		err = m.undo(f)
	case "compensating":
		if m.undoing || f.By == "" && (m.expect != "undo" || m.spec.NoCompensation || m.still()) {
			return fmt.Errorf("nothing has asked for that")
		}
		m.undoing, m.failed, m.expect = true, "", ""
	case "attempted":
		err = m.attempt(f)
	case "retried":
		err = m.retry(f)
	case "ended":
		err = m.end(f)
	case "suspended":
		m.suspended = true
	case "resumed":
		m.suspended, m.parked = false, false
	case "parked":
		m.parked = true
	case "signal_received":
		m.inbox[f.Signal]++
	case "idle":
	case "expired":
		m.expired = true
	default:
		err = fmt.Errorf("it is unknown")
	}
	return err
}

// still tells whether nothing may begin.
func (m *model) still() bool { return m.suspended || m.parked || m.failed != "" || m.ended != "" }

func (m *model) task(n int) (*modelTask, error) {
	if n < 1 || n > len(m.tasks) {
		return nil, fmt.Errorf("there is no task %d", n)
	}
	return m.tasks[n-1], nil
}

func (m *model) add(t *modelTask, kind string) {
	t.open, t.kind, t.claimed = true, kind, t.inFlight
	t.key = event.DerivedID(event.DerivedID(event.ID{}, string(m.stream)), fmt.Sprintf("%s %d %s#%d", kind, len(m.tasks)+1, t.step, t.visit))
	m.tasks = append(m.tasks, t)
}

func (m *model) enter(f *fact) error {
	if m.still() || m.undoing {
		return fmt.Errorf("nothing may begin")
	}
	if len(m.left) == 0 { // a new stage
		if m.expect != f.Stage || f.Visit != m.visits[f.Stage]+1 {
			return fmt.Errorf("stage %q is expected", m.expect)
		}
		top := m.steps[f.Stage]
		m.stage, m.visit, m.expect = f.Stage, f.Visit, ""
		m.visits[f.Stage]++
		if f.Step == f.Stage && f.what == "step_skipped" {
			if holds(top.When, m.tally) {
				return fmt.Errorf("its condition holds")
			}
			m.expect = m.after(top)
			return nil
		}
		if !holds(top.When, m.tally) {
			return fmt.Errorf("its condition does not hold")
		}
		m.left = []string{top.Name}
		if len(top.Branches) > 0 {
			m.left = nil
			for i := range top.Branches {
				m.left = append(m.left, top.Branches[i].Name)
			}
		}
	}
	if m.left[0] != f.Step || f.Stage != m.stage || f.Visit != m.visit {
		return fmt.Errorf("step %s must begin", m.left[0])
	}
	m.left = m.left[1:]
	step := m.steps[f.Step]
	if branch := f.Step != f.Stage; branch && holds(step.When, m.tally) == (f.what == "step_skipped") {
		return fmt.Errorf("its condition says otherwise")
	}
	switch f.what {
	case "step_started":
		m.add(&modelTask{stage: f.Stage, step: f.Step, visit: f.Visit, inFlight: true}, "action")
	case "signal_awaited":
		if f.Signal != step.Signal || !f.Due.Equal(f.at.Add(awaitsFor)) {
			return fmt.Errorf("it awaits %s until %v", f.Signal, f.Due)
		}
		m.add(&modelTask{stage: f.Stage, step: f.Step, visit: f.Visit, due: f.Due}, "signal")
	}
	m.finishStage()
	return nil
}

// finishStage says what must come next, where all of the stage is done.
func (m *model) finishStage() {
	if m.undoing || len(m.left) > 0 {
		return
	}
	failed := false
	for _, t := range m.tasks {
		if t.stage == m.stage && t.visit == m.visit {
			if t.open {
				m.expect = ""
				return
			}
			failed = failed || !t.done
		}
	}
	top := m.steps[m.stage]
	switch {
	case failed && top.OnFailure != "":
		m.expect = top.OnFailure
	case failed:
		m.expect = "undo"
	default:
		m.expect = m.after(top)
	}
}

func (m *model) after(top *specStep) string {
	for i := range top.Next {
		if top.Next[i].open(top.Name, m.tally) {
			return top.Next[i].To
		}
	}
	if i := slices.Index(m.tops, top.Name); i+1 < len(m.tops) {
		return m.tops[i+1]
	}
	return saga.End
}

func (m *model) succeed(f *fact) error {
	t, err := m.task(f.Task)
	switch {
	case err != nil:
		return err
	case !t.open || t.step != f.Step || (t.kind == "compensation") != (f.what == "compensation_succeeded"):
		return fmt.Errorf("the task is not open, or another one")
	case t.kind == "signal" && m.inbox[m.steps[t.step].Signal] == 0:
		return fmt.Errorf("no such signal has come")
	case t.kind != "signal" && !t.inFlight:
		return fmt.Errorf("it was not being done")
	}
	t.open, t.done, t.inFlight = false, true, false
	switch t.kind {
	case "signal":
		m.inbox[m.steps[t.step].Signal]--
		m.tally[t.step]++
	case "compensation":
		m.tasks[t.of-1].undone = true
		m.tally["undo "+t.step]++
		return nil
	default:
		m.tally[t.step]++
	}
	m.finishStage()
	return nil
}

func (m *model) fail(f *fact) error {
	t, err := m.task(f.Task)
	if err != nil {
		return err
	}
	givenUp := strings.HasPrefix(f.Error, "given up")
	switch {
	case !t.open || t.step != f.Step:
		return fmt.Errorf("the task is not open, or another one")
	case t.kind == "signal" && !givenUp && (f.at.Before(t.due) || m.still()):
		return fmt.Errorf("its deadline is %v", t.due)
	case givenUp && !m.undoing:
		return fmt.Errorf("it is not being compensated")
	}
	unknown := strings.Contains(f.Error, "unknown") || strings.Contains(f.Error, "panic") || strings.Contains(f.Error, "in time") ||
		strings.Contains(f.Error, "nothing was heard") || givenUp && (t.inFlight || t.unknown)
	if unknown != f.Unknown {
		return fmt.Errorf("whether its work was done is unknown: %v, it says %v", unknown, f.Unknown)
	}
	if t.kind != "signal" && !givenUp {
		final := strings.Contains(f.Error, "permanent") || strings.Contains(f.Error, "nothing was heard") || f.Attempt >= m.steps[t.step].Attempts
		if f.Attempt != t.attempts+1 || final != f.RetryAt.IsZero() || !final && !f.RetryAt.After(f.at) {
			return fmt.Errorf("it is attempt %d of %d, for good: %v", t.attempts+1, m.steps[t.step].Attempts, final)
		}
	}
	t.attempts++
	t.inFlight, t.unknown, t.interruptions, t.retryAt = false, t.unknown || unknown, 0, f.RetryAt
	if f.RetryAt.IsZero() {
		t.open = false
		if t.kind != "compensation" {
			m.finishStage()
		}
	}
	return nil
}

// toUndo tells whether a task has something to undo.
func (m *model) toUndo(t *modelTask) bool {
	return t.kind == "action" && !t.open && !t.undone && (t.done || t.unknown) && m.steps[t.step].Undo
}

func (m *model) undo(f *fact) error {
	of, err := m.task(f.Of)
	switch {
	case err != nil:
		return err
	case !m.undoing || m.still():
		return fmt.Errorf("nothing may be undone")
	case !m.toUndo(of) || of.step != f.Step || of.stage != f.Stage || of.visit != f.Visit:
		return fmt.Errorf("there is nothing of it to undo")
	}
	for i, t := range m.tasks {
		switch {
		case t.open && t.kind == "compensation" && (t.stage != of.stage || t.visit != of.visit), t.open && t.kind != "compensation":
			return fmt.Errorf("task %d is still open", i+1)
		case i+1 > f.Of && m.toUndo(t) && (t.stage != of.stage || t.visit != of.visit):
			return fmt.Errorf("task %d was done later, and must be undone first", i+1)
		case t.kind == "compensation" && t.of == f.Of:
			return fmt.Errorf("task %d undoes the same", i+1)
		}
	}
	m.add(&modelTask{stage: f.Stage, step: f.Step, visit: f.Visit, of: f.Of, inFlight: true}, "compensation")
	return nil
}

func (m *model) attempt(f *fact) error {
	if m.still() || len(f.Tasks) == 0 {
		return fmt.Errorf("nothing may begin")
	}
	for _, n := range f.Tasks {
		t, err := m.task(n)
		switch {
		case err != nil:
			return err
		case !t.open || t.kind == "signal" || m.undoing && t.kind == "action":
			return fmt.Errorf("task %d must not be begun", n)
		case f.at.Before(t.retryAt):
			return fmt.Errorf("task %d is to be begun at %v", n, t.retryAt)
		}
		if t.inFlight {
			t.unknown = true
			t.interruptions++
		}
		t.inFlight, t.claimed, t.retryAt = true, true, time.Time{}
	}
	return nil
}

func (m *model) retry(f *fact) error {
	for _, n := range f.Tasks {
		t, err := m.task(n)
		switch {
		case err != nil:
			return err
		case t.done || t.open && t.retryAt.IsZero() || !t.open && m.failed == "":
			return fmt.Errorf("task %d has not failed", n)
		case !t.open && t.kind != "compensation" && (t.stage != m.stage || t.visit != m.visit || m.undoing):
			return fmt.Errorf("task %d is past", n)
		}
		if t.kind == "signal" {
			t.due = f.at.Add(awaitsFor)
		}
		t.open, t.attempts, t.interruptions, t.retryAt, t.inFlight = true, 0, 0, time.Time{}, false
	}
	m.failed, m.parked = "", false
	if m.stage != "" {
		m.finishStage()
	}
	return nil
}

func (m *model) end(f *fact) error {
	open, toUndo, failed := 0, 0, 0
	for _, t := range m.tasks {
		switch {
		case t.open:
			open++
		case m.toUndo(t):
			toUndo++
		case t.kind == "compensation" && !t.done:
			failed++
		}
	}
	legal := false
	switch f.Status {
	case saga.StatusCompleted:
		legal = m.expect == saga.End && !m.undoing && !m.still() && open == 0
	case saga.StatusCompensated:
		legal = m.undoing && !m.still() && open == 0 && toUndo == 0 && failed == 0
	case saga.StatusCompensationFailed:
		legal = m.undoing && !m.still() && open == 0 && failed > 0
	case saga.StatusFailed:
		legal = !m.undoing && !m.still() && open == 0 && m.expect == "undo" && m.spec.NoCompensation
	case saga.StatusCancelled:
		legal = f.By != ""
	}
	if !legal {
		return fmt.Errorf("%d tasks are open, %d are to be undone, %d compensations have failed, and next is %q", open, toUndo, failed, m.expect)
	}
	if f.Status.Ended() {
		m.ended = f.Status
	} else {
		m.failed = f.Status
	}
	return nil
}

// status is what the instance must say of itself.
func (m *model) status() saga.Status {
	switch {
	case m.ended != "":
		return m.ended
	case m.suspended:
		return saga.StatusSuspended
	case m.parked:
		return saga.StatusParked
	case m.failed != "":
		return m.failed
	case m.undoing:
		return saga.StatusCompensating
	case m.stage == "":
		return saga.StatusRunning
	}
	for _, t := range m.tasks {
		if t.open && t.kind != "signal" {
			return saga.StatusRunning
		}
	}
	return saga.StatusWaiting
}

// checkWorld compares what was done outside with the history: nothing is done that the history does not know of, and what was
// undone is undone outside.
func (m *model) checkWorld(w *outside) error {
	keys := map[event.ID]*modelTask{}
	for i, t := range m.tasks {
		if keys[t.key] != nil {
			return fmt.Errorf("two tasks have the key %s", t.key)
		}
		keys[t.key] = t
		name := t.step
		if t.kind == "compensation" {
			name = "undo " + t.step
		}
		did, was := w.done[t.key]
		switch {
		case t.kind == "signal":
		case t.done && did != name:
			return fmt.Errorf("task %d, %s, is done as its history says, but outside there is %q", i+1, name, did)
		case was && !t.done && !t.unknown && !t.inFlight && m.ended != saga.StatusCancelled:
			return fmt.Errorf("task %d, %s, was done outside, but its history says that it surely was not", i+1, name)
		}
		if m.ended == saga.StatusCompensated && t.kind == "action" && was && m.steps[t.step].Undo {
			if _, undone := w.undid[t.key]; !undone || !t.undone {
				return fmt.Errorf("task %d, %s, was done outside, and never undone", i+1, name)
			}
		}
		if _, undone := w.undid[t.key]; undone && !t.done && !t.unknown {
			return fmt.Errorf("task %d, %s, was undone, but surely not done", i+1, name)
		}
	}
	for key, name := range w.done {
		if keys[key] == nil {
			return fmt.Errorf("%s was done with the key %s, of which the history knows nothing", name, key)
		}
	}
	return nil
}

// checkDetail compares the model with what the package says of the instance.
func (m *model) checkDetail(d *saga.Detail) error {
	var data tally
	if err := json.Unmarshal(d.Data, &data); err != nil {
		return err
	}
	switch {
	case d.Status != m.status():
		return fmt.Errorf("it says it is %s, and it is %s", d.Status, m.status())
	case m.index.S != d.Status && !m.expired:
		return fmt.Errorf("the index says it is %s, and it is %s", m.index.S, d.Status)
	case !maps.Equal(data, m.tally):
		return fmt.Errorf("its data is %v, and steps have succeeded %v", data, m.tally)
	case d.Status == saga.StatusCompensated && d.Error == "":
		return fmt.Errorf("it does not say why it was compensated")
	case (d.Status == saga.StatusFailed || d.Status == saga.StatusCompensationFailed || d.Status == saga.StatusSuspended) && d.Error == "":
		return fmt.Errorf("it does not say why it is %s", d.Status)
	}
	return nil
}

// checkAgenda tells whether an instance that its owner has left is come back to in time.
func (m *model) checkAgenda(d *saga.Detail, now time.Time) error {
	const linger = 2 * time.Second // so long an owner may wait without telling the agenda
	switch due := m.index.D; {
	case m.ended != "" || m.still():
		return nil
	case due == 1 && (d.Due.IsZero() || d.Due.Sub(now) > linger):
		return fmt.Errorf("the agenda says that it is at work, but it waits until %v", d.Due)
	case due == 0 && !d.Due.IsZero():
		return fmt.Errorf("it waits until %v, and the agenda does not know", d.Due)
	case due > 1 && due != d.Due.UnixMicro():
		return fmt.Errorf("it waits until %v, and the agenda says %v", d.Due, time.UnixMicro(due))
	}
	return nil
}
