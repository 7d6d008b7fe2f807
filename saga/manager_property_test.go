package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/saga/sagatest"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// note is an event that says itself what its handler is to do.
type note struct {
	Name string
	Do   []string // send, set a, set b, cancel a, complete
}

type (
	opens note // starts the instance
	early note // may come before it starts
	plain note
	ring  struct{ Name string } // the command
)

// diary is what the process manager of notes carries.
type diary struct {
	Seen []string `json:"seen"`
}

// timersOfNotes are how long the timers run.
func timersOfNotes() map[string]time.Duration {
	return map[string]time.Duration{"a": 10 * time.Second, "b": time.Minute}
}

// diarist leads one instance of a process manager through a life, and its model beside it.
type diarist struct {
	*rapid.T
	trial     *saga.Trial
	log       *store.Store
	hazard    *hazard
	events    []event.Recorded
	notes     map[event.ID]any
	open      []*saga.Attempt
	rung      []string // commands that were carried out, by key once, in order
	keys      map[event.ID]bool
	takeovers int
	now       time.Time // when what is done now began

	// The model.
	started, finish, suspended, ended bool
	dead, failed                      bool // a command has failed for good; and the instance by that
	handled                           map[event.ID]bool
	kept                              []event.ID
	seen, asked                       []string // commands, in the order of their requests
	confirmed, attempts               int      // commands; tries at the next
	timers                            map[string]time.Time
}

// TestProcessManagersDoAsTheModelSays brings events in any order and again, lets time pass, commands fail and workers die.
func TestProcessManagersDoAsTheModelSays(t *testing.T) { rapid.Check(t, keepDiary) }

func keepDiary(t *rapid.T) {
	w := &diarist{T: t, notes: map[event.ID]any{}, keys: map[event.ID]bool{}, handled: map[event.ID]bool{}, timers: map[string]time.Time{}}
	w.hazard = &hazard{Backend: memstore.New(memstore.Options{})}
	w.log = store.New(w.hazard, store.Options{})
	defer func() { _ = w.log.Close() }()
	registry, manager := w.manager()
	retry := saga.Retry{Attempts: 3, Initial: 10 * time.Second, Max: time.Minute}
	var err error
	w.trial, err = saga.NewTrial(context.Background(), w.log, saga.Options{Retry: retry, Timeout: 5 * time.Second, Retention: -1}, manager)
	w.must(err)
	w.write(registry)
	for range rapid.IntRange(0, 50).Draw(t, "moves") {
		w.move()
		w.check()
	}
	w.settle()
}

// manager makes the process manager of notes.
func (w *diarist) manager() (*schema.Registry, *saga.Manager[diary]) {
	registry, bus := schema.NewRegistry(), command.NewBus(command.Options{})
	w.must(errors.Join(
		schema.Register[opens](registry, "opens", schema.Options{}), schema.Register[early](registry, "early", schema.Options{}),
		schema.Register[plain](registry, "plain", schema.Options{}), schema.Register[ring](registry, "ring", schema.Options{}),
		command.Handle(bus, func(ctx context.Context, c ring) (command.None, error) {
			if info, _ := saga.InfoFrom(ctx); !w.keys[info.Key] {
				w.keys[info.Key] = true
				w.rung = append(w.rung, c.Name)
			}
			return command.None{}, nil
		})))
	react := func(t *saga.Turn[diary], n note) error {
		t.State.Seen = append(t.State.Seen, n.Name)
		for _, what := range n.Do {
			verb, timer, _ := strings.Cut(what, " ")
			switch verb {
			case "send":
				t.Send(ring{n.Name})
			case "set":
				t.SetTimer(timer, timersOfNotes()[timer])
			case "cancel":
				t.CancelTimer(timer)
			case "complete":
				t.Complete()
			}
		}
		return nil
	}
	timeout := func(name string) func(*saga.Turn[diary]) error {
		return func(t *saga.Turn[diary]) error { return react(t, ofTimer(name, len(t.State.Seen))) }
	}
	m, err := saga.Manage("notes", 1, registry, bus,
		saga.Starts(func(opens) string { return "7" }, func(t *saga.Turn[diary], n opens) error { return react(t, note(n)) }),
		saga.OnEarly(func(early) string { return "7" }, func(t *saga.Turn[diary], n early) error { return react(t, note(n)) }),
		saga.On(func(plain) string { return "7" }, func(t *saga.Turn[diary], n plain) error { return react(t, note(n)) }),
		saga.OnTimeout("a", timeout("a")), saga.OnTimeout("b", timeout("b")))
	w.must(err)
	return registry, m
}

// ofTimer is what a timer that fires lets be done: b sets a.
func ofTimer(name string, seen int) note {
	n := note{Name: fmt.Sprintf("timer %s after %d", name, seen), Do: []string{"send"}}
	if name == "b" {
		n.Do = append(n.Do, "set a")
	}
	return n
}

// write appends the events that will be brought.
func (w *diarist) write(registry *schema.Registry) {
	for i := range rapid.IntRange(1, 7).Draw(w.T, "events") {
		n := note{
			Name: fmt.Sprintf("note %d", i),
			Do:   rapid.SliceOfN(rapid.SampledFrom([]string{"send", "send", "set a", "set b", "set b", "cancel a", "cancel b", "complete"}), 0, 3).Draw(w.T, "do"),
		}
		var e any = opens(n)
		if i > 0 {
			e = rapid.SampledFrom([]any{opens(n), early(n), early(n), plain(n), plain(n)}).Draw(w.T, "event")
		}
		pending, err := registry.Encode(e)
		w.must(err)
		_, err = w.log.Append(context.Background(), "notes-7", store.Any(), pending)
		w.must(err)
		for r, err := range w.log.ReadStream(context.Background(), store.StreamRead{Stream: "notes-7", Backwards: true, Limit: 1}) {
			w.must(err)
			w.events = append(w.events, r)
			w.notes[r.ID] = e
		}
	}
}

func (w *diarist) move() {
	danger := ""
	if rapid.IntRange(0, 5).Draw(w.T, "goes wrong") == 5 {
		danger = rapid.SampledFrom([]string{"dies before", "dies after", "unavailable before", "unavailable after"}).Draw(w.T, "hazard")
	}
	switch rapid.SampledFrom([]string{"bring", "bring", "bring", "answer", "answer", "fail", "look", "look", "wait", "take over", "suspend", "resume", "retry"}).Draw(w.T, "move") {
	case "bring":
		w.bring(&w.events[rapid.IntRange(0, len(w.events)-1).Draw(w.T, "event")], danger)
	case "look":
		w.look(danger)
	case "answer":
		w.answer(danger, nil)
	case "fail":
		w.answer(danger, rapid.SampledFrom([]error{errSupplier, errSupplier, saga.Permanent(errSupplier)}).Draw(w.T, "error"))
	case "wait":
		w.trial.Jump(time.Duration(rapid.IntRange(1, 40).Draw(w.T, "seconds")) * time.Second)
	case "take over":
		if w.takeovers++; w.takeovers < 6 { // ten in a row would make the command fail
			w.open = nil
			w.must(w.trial.TakeOver())
		}
	case "suspend":
		if w.started && !w.suspended && !w.ended {
			w.suspended = true
			w.must(w.trial.Control().Suspend(context.Background(), "notes", "7", "ann", "audit"))
		}
	case "resume":
		if w.suspended {
			w.suspended = false
			w.must(w.trial.Control().Resume(context.Background(), "notes", "7", "ann"))
		}
	case "retry":
		w.retry()
	}
}

// under does something whose append may go wrong, and tells whether that has taken effect.
func (w *diarist) under(danger string, do func() error) bool {
	w.hazard.next, w.now = danger, w.trial.Now()
	err := do()
	w.hazard.next = ""
	switch {
	case errors.Is(err, errProcessDied):
		w.open = nil
		w.must(w.trial.TakeOver())
		return danger == "dies after"
	case errors.Is(err, store.ErrUnavailable): // an event is brought again then
		return danger == "unavailable after"
	}
	w.must(err)
	return true
}

func (w *diarist) bring(e *event.Recorded, danger string) {
	if w.under(danger, func() error { return w.trial.Bring("notes", *e) }) {
		w.brought(e.ID)
	}
}

// brought is bring, in the model.
func (w *diarist) brought(id event.ID) {
	if w.handled[id] || w.finish {
		return
	}
	switch n := w.notes[id].(type) {
	case opens:
		w.handled[id] = true
		first := !w.started
		w.started = true
		w.react(note(n))
		if first {
			for _, k := range w.kept {
				if !w.finish {
					w.react(note(w.notes[k].(early)))
				}
			}
		}
	case early:
		w.handled[id] = true
		if w.started {
			w.react(note(n))
		} else {
			w.kept = append(w.kept, id)
		}
	case plain:
		if w.started {
			w.handled[id] = true
			w.react(note(n))
		}
	}
}

// react is a handler, in the model.
func (w *diarist) react(n note) {
	w.seen = append(w.seen, n.Name)
	for _, what := range n.Do {
		verb, timer, _ := strings.Cut(what, " ")
		switch verb {
		case "send":
			w.asked = append(w.asked, n.Name)
		case "set":
			w.timers[timer] = w.now.Add(timersOfNotes()[timer])
		case "cancel":
			delete(w.timers, timer)
		case "complete":
			w.finish = true
		}
	}
}

func (w *diarist) look(danger string) {
	if !w.started {
		return
	}
	if w.under(danger, func() (err error) { w.open, err = w.trial.Look("notes", "7"); return err }) {
		w.looked()
	}
	if len(w.open) > 1 {
		w.Fatalf("%d commands are under way at the same time\n%s", len(w.open), w.story())
	}
}

// looked is look, in the model: timers that are due fire, the earliest first, and each once.
func (w *diarist) looked() {
	w.failed = w.failed || w.dead && !w.suspended
	for !w.failed && !w.suspended && !w.finish {
		due := slices.SortedFunc(maps.Keys(w.timers), func(a, b string) int { return w.timers[a].Compare(w.timers[b]) })
		if len(due) == 0 || w.timers[due[0]].After(w.now) {
			break
		}
		delete(w.timers, due[0])
		w.react(ofTimer(due[0], len(w.seen)))
	}
	w.ended = w.ended || w.finish && !w.suspended && !w.failed && w.confirmed == len(w.asked)
}

// answer lets the command that is under way end, by an error or well.
func (w *diarist) answer(danger string, failure error) {
	if len(w.open) == 0 {
		w.look(danger)
		return
	}
	a := w.open[0]
	w.open = nil
	if !w.under(danger, func() error {
		if failure != nil {
			return a.Fail(failure)
		}
		return a.Answer()
	}) {
		return
	}
	if failure == nil {
		w.confirmed, w.attempts = w.confirmed+1, 0
	} else if w.attempts++; w.attempts == 3 || failure != errSupplier { //nolint:errorlint // the other one wraps it, and is permanent
		w.dead = true
	}
	w.looked()
}

func (w *diarist) retry() {
	if !w.failed || w.suspended {
		return
	}
	w.must(w.trial.Control().Retry(context.Background(), "notes", "7", "ann"))
	w.failed, w.dead, w.attempts = false, false, 0
}

// check compares all with the model.
func (w *diarist) check() {
	if len(w.rung) > len(w.asked) || !slices.Equal(w.rung, w.asked[:len(w.rung)]) || len(w.rung) < w.confirmed || len(w.rung) > w.confirmed+1 {
		w.Fatalf("commands %q were carried out, %d confirmed, and asked for were %q\n%s", w.rung, w.confirmed, w.asked, w.story())
	}
	if !w.started {
		return
	}
	d := w.detail()
	var data diary
	w.must(json.Unmarshal(d.Data, &data))
	if !slices.Equal(data.Seen, w.seen) {
		w.Fatalf("it has seen %q, and was to see %q\n%s", data.Seen, w.seen, w.story())
	}
	timers := map[string]time.Time{}
	for _, t := range d.Timers {
		timers[t.Name] = t.Due
	}
	if !w.finish && !maps.EqualFunc(timers, w.timers, time.Time.Equal) {
		w.Fatalf("timers are %v, and were to be %v\n%s", timers, w.timers, w.story())
	}
	want := saga.StatusWaiting
	switch {
	case w.ended:
		want = saga.StatusCompleted
	case w.suspended:
		want = saga.StatusSuspended
	case w.failed:
		want = saga.StatusFailed
	case w.dead && w.confirmed+1 == len(w.asked): // the owner is to see that yet
	case w.confirmed < len(w.asked):
		want = saga.StatusRunning
	}
	if d.Status != want {
		w.Fatalf("it is %s, and was to be %s\n%s", d.Status, want, w.story())
	}
}

// settle lets all go well: each event is brought once more, each command carried out, each timer fires.
func (w *diarist) settle() {
	if w.suspended {
		w.suspended = false
		w.must(w.trial.Control().Resume(context.Background(), "notes", "7", "ann"))
	}
	for i := range w.events {
		w.bring(&w.events[i], "")
		w.check()
	}
	for range 200 {
		w.retry()
		w.look("")
		w.check()
		d := w.detail()
		switch {
		case len(w.open) > 0:
			w.answer("", nil)
			w.check()
		case d.Status.Ended():
			return
		case w.failed: // and is retried
		case !d.Due.IsZero():
			w.trial.Jump(d.Due.Sub(w.trial.Now()))
		case d.Status == saga.StatusWaiting && w.confirmed == len(w.asked) && !w.finish && len(w.timers) == 0:
			return
		default:
			w.Fatalf("it is stuck as %s\n%s", d.Status, w.story())
		}
	}
	w.Fatalf("it does not come to rest\n%s", w.story())
}

func (w *diarist) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *diarist) detail() saga.Detail {
	d, err := w.trial.Control().Get(context.Background(), "notes", "7")
	w.must(err)
	return d
}

func (w *diarist) story() string {
	if !w.started {
		return "it has not begun"
	}
	return sagatest.Timeline(w.detail())
}
