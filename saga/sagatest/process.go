package sagatest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
)

// Process is an instance of a process manager.
type Process[S any] struct {
	kit
	manager *saga.Manager[S]
	past    []any
	since   event.Version // of the last When
}

// GivenEvents gives a process manager to which the events have happened. What it did about them is done. Checks are about
// the instance that the last event belongs to. Commands are taken as done, without being sent; see Dispatching.
func GivenEvents[S any](t T, manager *saga.Manager[S], events ...any) *Process[S] {
	return &Process[S]{kit: newKit(t, manager.Name(), confirmIt()), manager: manager, past: events}
}

// With sets the options of the process manager, before anything else.
func (p *Process[S]) With(o saga.Options) *Process[S] {
	p.o = o
	return p
}

// Dispatching sends commands to the manager's bus, but for those that were given another end.
func (p *Process[S]) Dispatching() *Process[S] {
	p.usually = callIt()
	return p
}

// Fails lets the next attempts at a command, by its registered name, fail by these errors, one each.
func (p *Process[S]) Fails(command string, errs ...error) *Process[S] {
	for _, err := range errs {
		p.answerNext(command, failBy(err))
	}
	return p
}

// AlwaysFails lets all attempts at a command fail, but for those that were given another end.
func (p *Process[S]) AlwaysFails(command string, err error) *Process[S] {
	p.always[command] = failBy(err)
	return p
}

// Crashes lets the worker die in the next attempt at a command, when it was sent but that is not taken down.
func (p *Process[S]) Crashes(command string) *Process[S] {
	p.answerNext(command, p.crash())
	return p
}

// begin lets the past happen, unless it has.
func (p *Process[S]) begin() bool {
	p.t.Helper()
	if p.trial == nil {
		p.open(p.manager)
		for _, e := range p.past {
			if !p.broken {
				p.happen("given", e)
			}
		}
	}
	return !p.broken
}

func (p *Process[S]) happen(what string, e any) {
	p.t.Helper()
	_, ids, err := p.trial.Happen(p.saga, "sagatest-events", e)
	if !p.must(fmt.Sprintf("%s %T", what, e), err) {
		return
	}
	for _, id := range ids {
		p.id = id
		p.run(p.trial.Now(), true)
	}
}

// mark takes down where the history of the instance ends.
func (p *Process[S]) mark() {
	p.since = 0
	if d, ok := p.detail(); ok {
		p.since = d.History[len(d.History)-1].Version
	}
}

// When lets an event happen.
func (p *Process[S]) When(e any) *Process[S] {
	p.t.Helper()
	if !p.begin() {
		return p
	}
	ids, err := p.trial.Route(p.saga, e)
	if p.must(fmt.Sprintf("when %T", e), err) {
		if len(ids) > 0 {
			p.id = ids[len(ids)-1]
		}
		p.mark()
		p.happen("when", e)
	}
	return p
}

// WhenTimer lets time pass until a timer fires, which must be set. Others that are due earlier fire before.
func (p *Process[S]) WhenTimer(timer string) *Process[S] {
	p.t.Helper()
	if !p.begin() {
		return p
	}
	d, _ := p.detail()
	i := slices.IndexFunc(d.Timers, func(t saga.Timer) bool { return t.Name == timer })
	if i < 0 {
		p.must("when the timer "+timer+" fires", fmt.Errorf("it is not set; there are %v", showTimers(p.timers(d))))
		return p
	}
	return p.Pass(d.Timers[i].Due.Sub(p.trial.Now()))
}

// Pass lets time pass. Timers that come due meanwhile fire, at their time.
func (p *Process[S]) Pass(d time.Duration) *Process[S] {
	p.t.Helper()
	if p.begin() {
		p.mark()
		p.pass(d)
	}
	return p
}

// Of turns the checks to another instance, by its correlation.
func (p *Process[S]) Of(id string) *Process[S] {
	p.t.Helper()
	if p.begin() {
		p.id, p.since = id, 0
	}
	return p
}

// ThenCommands fails the test unless exactly these commands were requested since the last When, WhenTimer or Pass (or since
// the beginning where there was none), in this order.
func (p *Process[S]) ThenCommands(want ...any) *Process[S] {
	p.t.Helper()
	if !p.begin() {
		return p
	}
	var got []any
	if p.id != "" {
		var err error
		if got, err = p.trial.Commands(p.saga, p.id, p.since); !p.must("then", err) {
			return p
		}
	}
	same := slices.EqualFunc(want, got, func(a, b any) bool { return reflect.DeepEqual(plain(a), plain(b)) })
	if !same {
		p.report("commands:\n  want %s\n  got  %s", showAll(want), showAll(got))
	}
	return p
}

// Timer is a timer that is set, and fires after a time.
type Timer struct {
	Name string
	In   time.Duration
}

// ThenTimers fails the test unless exactly these timers are set, in any order.
func (p *Process[S]) ThenTimers(want ...Timer) *Process[S] {
	p.t.Helper()
	if !p.begin() {
		return p
	}
	d, _ := p.detail()
	if got, want := p.timers(d), sorted(want); !slices.Equal(got, want) {
		p.report("timers:\n  want %s\n  got  %s", showTimers(want), showTimers(got))
	}
	return p
}

func (p *Process[S]) timers(d saga.Detail) []Timer {
	var set []Timer
	for _, t := range d.Timers {
		set = append(set, Timer{t.Name, t.Due.Sub(p.trial.Now())})
	}
	return sorted(set)
}

// ThenState fails the test unless the instance carries this.
func (p *Process[S]) ThenState(want S) *Process[S] {
	p.t.Helper()
	if p.begin() {
		checkData(&p.kit, "state", want)
	}
	return p
}

// ThenStatus fails the test unless the instance has this status.
func (p *Process[S]) ThenStatus(want saga.Status) *Process[S] {
	p.t.Helper()
	if p.begin() {
		p.checkStatus(want)
	}
	return p
}

// ThenNoInstance fails the test if the events have begun an instance.
func (p *Process[S]) ThenNoInstance() *Process[S] {
	p.t.Helper()
	if p.begin() {
		if _, ok := p.detail(); ok {
			p.report("want no instance, got %s", p.id)
		}
	}
	return p
}

// Then calls check with all that is known of the instance, for checks of another kind.
func (p *Process[S]) Then(check func(d saga.Detail)) *Process[S] {
	p.t.Helper()
	if p.begin() {
		if d, ok := p.instance(); ok {
			check(d)
		}
	}
	return p
}

// plain follows a pointer: a command that is registered as a pointer equals one that is written as a value.
func plain(v any) any {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && !r.IsNil() {
		return r.Elem().Interface()
	}
	return v
}

func showAll(values []any) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, fmt.Sprintf("%T%+v", plain(v), plain(v)))
	}
	return list(texts)
}

func sorted(timers []Timer) []Timer {
	return slices.SortedFunc(slices.Values(timers), func(a, b Timer) int { return strings.Compare(a.Name, b.Name) })
}

func showTimers(timers []Timer) string {
	var texts []string
	for _, t := range timers {
		texts = append(texts, fmt.Sprintf("%s in %v", t.Name, t.In))
	}
	return list(texts)
}
