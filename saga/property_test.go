package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/saga/sagatest"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// TestHistoriesAreAsTheModelSays makes up sagas, lets their suppliers fail, their workers die and their operators meddle, and
// checks each history against a model. To look longer: go test ./saga -run Model -rapid.checks=100000
func TestHistoriesAreAsTheModelSays(t *testing.T) {
	rapid.Check(t, walk)
}

// FuzzHistories is the same, led by coverage; the corpus is in testdata/fuzz.
func FuzzHistories(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(walk))
}

func drawSpec(t *rapid.T) *spec {
	s := &spec{NoCompensation: rapid.IntRange(0, 7).Draw(t, "no compensation") == 7}
	n := rapid.IntRange(1, 5).Draw(t, "steps")
	leaf := func(name string) specStep {
		step := specStep{
			Name: name, When: rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3}).Draw(t, name+" when"),
			Attempts: rapid.IntRange(1, 3).Draw(t, name+" attempts"),
		}
		if rapid.IntRange(0, 4).Draw(t, name+" kind") == 4 {
			step.Signal = rapid.SampledFrom([]string{"go", "ok"}).Draw(t, name+" signal")
		} else {
			step.Undo = rapid.IntRange(0, 3).Draw(t, name+" undo") > 0
		}
		return step
	}
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		step := leaf(name)
		if rapid.IntRange(0, 3).Draw(t, name+" group") == 3 {
			step = specStep{Name: name, When: step.When}
			for j := range rapid.IntRange(2, 3).Draw(t, name+" branches") {
				step.Branches = append(step.Branches, leaf(fmt.Sprintf("%s.%d", name, j)))
			}
		}
		switch rapid.IntRange(0, 7).Draw(t, name+" ways") {
		case 5: // back, a few times
			back := fmt.Sprintf("s%d", rapid.IntRange(0, i).Draw(t, name+" back to"))
			if len(step.Branches) == 0 && step.When == 0 {
				step.Next = append(step.Next, specJump{To: back, Times: rapid.IntRange(2, 3).Draw(t, name+" times")})
			}
		case 6:
			to := saga.End
			if j := rapid.IntRange(i+1, n).Draw(t, name+" on to"); j < n {
				to = fmt.Sprintf("s%d", j)
			}
			step.Next = append(step.Next, specJump{To: to, When: rapid.IntRange(0, 3).Draw(t, name+" jump when")})
		case 7:
			if i+1 < n {
				step.OnFailure = fmt.Sprintf("s%d", rapid.IntRange(i+1, n-1).Draw(t, name+" on failure"))
			}
		}
		s.Steps = append(s.Steps, step)
	}
	return s
}

// hazard is a backend whose next append may go wrong.
type hazard struct {
	store.Backend
	next string
}

var errProcessDied = errors.New("the process has died")

func (h *hazard) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	next := h.next
	h.next = ""
	switch next {
	case "dies before":
		return store.Result{}, errProcessDied
	case "unavailable before":
		return store.Result{}, fmt.Errorf("%w: no answer", store.ErrUnavailable)
	}
	res, err := h.Backend.Append(ctx, c)
	if err == nil && next == "dies after" {
		return store.Result{}, errProcessDied
	}
	if err == nil && next == "unavailable after" {
		return store.Result{}, fmt.Errorf("%w: no answer", store.ErrUnavailable)
	}
	return res, err
}

// walker leads one instance through a life.
type walker struct {
	*rapid.T
	spec     *spec
	world    *outside
	trial    *saga.Trial
	log      *store.Store
	hazard   *hazard
	open     []*saga.Attempt // of the owner
	former   []*saga.Attempt // of owners that have lost the instance, and do not know
	seen     int             // facts that were checked
	model    *model
	home     saga.Definer
	signals  byte
	isFormer bool // what is answered is an attempt of a former owner
	complete bool // the owner has just looked, and nothing has happened since
}

func walk(t *rapid.T) {
	w := &walker{T: t, spec: drawSpec(t), world: &outside{done: map[event.ID]string{}, undid: map[event.ID]event.ID{}}}
	definition, err := w.spec.definition(w.world, 1)
	w.must(err)
	w.home = definition
	w.hazard = &hazard{Backend: memstore.New(memstore.Options{})}
	w.log = store.New(w.hazard, store.Options{})
	defer func() { _ = w.log.Close() }()
	w.trial, err = saga.NewTrial(context.Background(), w.log, saga.Options{NoCompensation: w.spec.NoCompensation}, definition)
	w.must(err)
	w.must(w.trial.Start("walk", "1", tally{}, saga.StartOptions{}))
	w.model = newModel(w.spec, "saga_walk-1")
	w.check()
	for range rapid.IntRange(0, 40).Draw(t, "moves") {
		w.move()
		w.check()
	}
	w.settle()
}

func (w *walker) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v\n%s", err, w.story())
	}
}

func (w *walker) detail() saga.Detail {
	d, err := w.trial.Control().Get(context.Background(), "walk", "1")
	if err != nil {
		w.Fatal(err)
	}
	return d
}

func (w *walker) story() string {
	if w.log == nil || w.trial == nil {
		return ""
	}
	return fmt.Sprintf("spec: %+v\n%s", *w.spec, sagatest.Timeline(w.detail()))
}

// takeFacts lets the model take in what is new.
func (w *walker) takeFacts() {
	facts, err := factsOf(w.log, "saga_walk-1")
	w.must(err)
	if len(facts) < w.seen {
		w.Fatalf("the history became shorter")
	}
	for i := w.seen; i < len(facts); i++ {
		if err := w.model.take(&facts[i]); err != nil {
			w.Fatalf("fact %d, %s %s, must not be: %v\n%s", i+1, facts[i].what, facts[i].Step, err, w.story())
		}
	}
	w.seen = len(facts)
}

// check compares all with the model.
func (w *walker) check() {
	w.takeFacts()
	d := w.detail()
	w.must(w.model.checkDetail(&d))
	w.must(w.model.checkWorld(w.world))
	if w.complete && len(w.open) == 0 {
		w.must(w.model.checkAgenda(&d, w.trial.Now()))
	}
}

// did looks at what came of a move of the owner's: it may have died of it.
func (w *walker) did(err error) {
	w.Helper()
	if errors.Is(err, errProcessDied) {
		if w.isFormer {
			return
		}
		w.takeOver() // a dead process answers nothing
		return
	}
	w.must(err)
}

func (w *walker) look() {
	open, err := w.trial.Look("walk", "1")
	w.open = open
	for w.takeFacts(); err == nil && len(open) > 0; open = open[1:] {
		if task := w.keyed(open[0].Key); task == nil || !task.claimed {
			w.Fatalf("an attempt at %s was begun, and the history does not say that this owner begins it\n%s", open[0].Step, w.story())
		}
	}
	w.complete = err == nil
	w.did(err)
}

// takeOver lets another worker have the instance, who has begun nothing of it yet.
func (w *walker) takeOver(definitions ...saga.Definer) {
	w.Helper()
	w.open = nil
	w.must(w.trial.TakeOver(definitions...))
	w.takeFacts()
	for _, t := range w.model.tasks {
		t.claimed = false
	}
}

func (w *walker) keyed(key event.ID) *modelTask {
	for _, t := range w.model.tasks {
		if t.key == key {
			return t
		}
	}
	return nil
}

// move does one thing.
func (w *walker) move() {
	w.complete = false
	switch what := rapid.SampledFrom([]string{
		"look", "look", "answer", "answer", "answer", "answer", "former", "take over", "wait", "wait long", "signal", "operate", "hazard", "away",
	}).Draw(w.T, "move"); what {
	case "look":
		w.look()
	case "answer":
		if len(w.open) > 0 {
			i := rapid.IntRange(0, len(w.open)-1).Draw(w.T, "which")
			a := w.open[i]
			w.open = slices.Delete(slices.Clone(w.open), i, i+1)
			w.answer(a)
		} else {
			w.look()
		}
	case "former":
		if len(w.former) > 0 {
			a := w.former[0]
			w.former = w.former[1:]
			owner := w.open
			w.open = nil
			w.isFormer = true
			w.answer(a)
			w.open, w.isFormer = owner, false
		}
	case "take over":
		w.former = append(w.former, w.open...)
		w.takeOver()
	case "away": // to a worker that lacks the definition
		other, err := (&spec{Steps: []specStep{{Name: "other", Attempts: 1}}}).definition(w.world, 2)
		w.must(err)
		w.former = append(w.former, w.open...)
		w.takeOver(other)
		w.look()
		w.takeOver(w.home)
	case "wait":
		w.trial.Jump(time.Duration(rapid.IntRange(1, 30).Draw(w.T, "seconds")) * time.Second)
	case "wait long":
		w.trial.Jump(time.Duration(rapid.IntRange(1, 90).Draw(w.T, "minutes")) * time.Minute)
	case "signal":
		w.signal(rapid.SampledFrom([]string{"go", "ok"}).Draw(w.T, "signal"), rapid.Bool().Draw(w.T, "the last one again"))
	case "operate":
		w.operate(rapid.SampledFrom([]string{"retry", "retry", "compensate", "cancel", "suspend", "resume", "resume"}).Draw(w.T, "operation"))
	case "hazard":
		w.hazard.next = rapid.SampledFrom([]string{"dies before", "dies after", "unavailable before", "unavailable after"}).Draw(w.T, "hazard")
		w.look()
		w.hazard.next = ""
	}
}

// answer ends an attempt in one of many ways.
func (w *walker) answer(a *saga.Attempt) {
	if rapid.IntRange(0, 5).Draw(w.T, "goes wrong") == 5 {
		w.hazard.next = rapid.SampledFrom([]string{"dies before", "dies after", "unavailable before", "unavailable after"}).Draw(w.T, "hazard")
		defer func() { w.hazard.next = "" }()
	}
	switch rapid.SampledFrom([]string{"well", "well", "well", "fails", "permanent", "unknown", "unknown, done", "silent", "late", "panics", "twice"}).Draw(w.T, "answer") {
	case "well":
		w.did(a.Answer())
	case "twice":
		w.did(a.Answer())
		w.did(a.Answer())
	case "fails":
		w.did(a.Fail(errors.New("an error")))
	case "permanent":
		w.did(a.Fail(saga.Permanent(errors.New("permanent"))))
	case "unknown":
		w.did(a.Fail(saga.Unknown(errors.New("unknown"))))
	case "unknown, done":
		_ = a.Call()
		w.did(a.Fail(saga.Unknown(errors.New("unknown"))))
	case "silent":
		w.did(a.TimeOut())
	case "late":
		_ = a.Call()
		w.did(a.TimeOut())
	case "panics":
		_ = saga.CallInstead(a, func(context.Context, *tally) error { panic("oh") })
		w.did(a.Answer())
	}
}

// refused passes over what may be refused.
func (w *walker) refused(err error) {
	w.Helper()
	if !errors.Is(err, saga.ErrRefused) && !errors.Is(err, saga.ErrEnded) {
		w.must(err)
	}
}

func (w *walker) signal(name string, again bool) {
	if !again {
		w.signals++
	}
	w.refused(w.trial.Control().Signal(context.Background(), "walk", "1", name, nil, event.ID{1, w.signals}))
}

func (w *walker) operate(what string) {
	ctx, c := context.Background(), w.trial.Control()
	switch what {
	case "retry":
		w.refused(c.Retry(ctx, "walk", "1", "ann"))
	case "compensate":
		w.refused(c.Compensate(ctx, "walk", "1", "ann", "because"))
	case "cancel":
		w.refused(c.Cancel(ctx, "walk", "1", "ann", ""))
	case "suspend":
		w.refused(c.Suspend(ctx, "walk", "1", "ann", "audit"))
	case "resume":
		w.refused(c.Resume(ctx, "walk", "1", "ann"))
	}
}

// settle lets all go well from here on: each instance comes to an end, and with a signal, a retry or some time each that
// waits goes on.
func (w *walker) settle() {
	for range 150 {
		w.complete = false
		w.look()
		w.check()
		if len(w.open) > 0 {
			w.did(w.open[0].Answer())
			w.check()
			continue
		}
		d := w.detail()
		w.complete = false
		switch {
		case d.Status.Ended():
			w.must(w.model.checkWorld(w.world))
			w.trial.Jump(25 * time.Hour)
			w.look()
			w.takeFacts()
			if !w.model.expired {
				w.Fatalf("the retention is over, and it has not expired")
			}
			return
		case d.Status == saga.StatusSuspended:
			w.operate("resume")
		case d.Status == saga.StatusFailed, d.Status == saga.StatusCompensationFailed:
			w.operate("retry")
		case len(d.Awaits) > 0:
			w.signal(d.Awaits[0], false)
		case !d.Due.IsZero():
			w.trial.Jump(d.Due.Sub(w.trial.Now()))
		default:
			w.Fatalf("it is stuck as %s\n%s", d.Status, w.story())
		}
		w.check()
	}
	w.Fatalf("it does not come to an end\n%s", w.story())
}
