package sagatest

import (
	"context"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
)

// Case is an instance of an orchestrated saga.
type Case[D any] struct {
	kit
	definition *saga.Definition[D]
	data       D
}

// Given gives an instance that begins with the data. Say how attempts end, let it Run, and check it by the methods that
// begin with Then, as often as you like.
func Given[D any](t T, definition *saga.Definition[D], data D) *Case[D] {
	return &Case[D]{kit: newKit(t, definition.Name(), callIt()), definition: definition, data: data}
}

// With sets the options of the saga, before anything else. The clock starts at its Now, or at the beginning of 2030.
func (c *Case[D]) With(o saga.Options) *Case[D] {
	c.o = o
	return c
}

// Fails lets the next attempts at a step fail by these errors, one each, without its action being called. See
// saga.Permanent and saga.Unknown for what an error says, and CompensationOf for compensations.
func (c *Case[D]) Fails(step string, errs ...error) *Case[D] {
	for _, err := range errs {
		c.answerNext(step, failBy(err))
	}
	return c
}

// AlwaysFails lets all attempts at a step fail, but for those that were given another end.
func (c *Case[D]) AlwaysFails(step string, err error) *Case[D] {
	c.always[step] = failBy(err)
	return c
}

// TimesOut lets the next attempt at a step not end in time, without its action being called.
func (c *Case[D]) TimesOut(step string) *Case[D] {
	c.answerNext(step, timeOut())
	return c
}

// AnswersLate lets the next attempt at a step do its work, but not say so in time.
func (c *Case[D]) AnswersLate(step string) *Case[D] {
	c.answerNext(step, answerLate())
	return c
}

// Crashes lets the worker die in the next attempt at a step, when its work is done but that is not taken down. Another worker
// goes on.
func (c *Case[D]) Crashes(step string) *Case[D] {
	c.answerNext(step, c.crash())
	return c
}

// Does puts another action in place of a step's.
func (c *Case[D]) Does(step string, action saga.Action[D]) *Case[D] {
	c.always[step] = answer{end: func(a *saga.Attempt) error {
		_ = saga.CallInstead(a, action) // its error is part of the answer
		return a.Answer()
	}}
	return c
}

// begin starts the instance, unless it was.
func (c *Case[D]) begin() bool {
	c.t.Helper()
	if c.trial == nil {
		if c.open(c.definition); !c.broken {
			c.id = "1"
			c.must("given", c.trial.Start(c.saga, c.id, c.data, saga.StartOptions{}))
		}
	}
	return !c.broken
}

// Run brings the instance on until it has ended or failed, or waits for a signal. Pauses between attempts are jumped over.
func (c *Case[D]) Run() *Case[D] {
	c.t.Helper()
	if c.begin() {
		c.run(c.trial.Now(), true)
	}
	return c
}

// Signal hands a signal to the instance, and lets it run.
func (c *Case[D]) Signal(signal string, data any) *Case[D] {
	c.t.Helper()
	return c.Operate(func(control *saga.Control, name, id string) error {
		return control.Signal(context.Background(), name, id, signal, data, event.ID{})
	})
}

// Operate does what an operator may do at this moment, such as Compensate or Suspend, and lets the instance run.
func (c *Case[D]) Operate(do func(control *saga.Control, saga, id string) error) *Case[D] {
	c.t.Helper()
	if c.begin() && c.must("operate", do(c.trial.Control(), c.saga, c.id)) {
		c.run(c.trial.Now(), true)
	}
	return c
}

// Pass lets time pass, and no more: what comes due meanwhile happens, at its time, but a pause between two attempts that is
// longer is not jumped over. Run goes on then.
func (c *Case[D]) Pass(d time.Duration) *Case[D] {
	c.t.Helper()
	if c.begin() {
		c.pass(d)
	}
	return c
}
