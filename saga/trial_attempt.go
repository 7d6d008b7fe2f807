package saga

import (
	"context"
	"encoding/json"
	"time"
)

// Attempt is what a Trial has begun: one try at an action, a compensation or a command. The test answers it by one of the
// methods; each lets the owner of the instance go on with what follows from that.
type Attempt struct {
	Info
	Kind string // "action", "compensation" or "command"

	trial      *Trial
	driver     *trialDriver
	task       *task
	definition Definer
	inside     context.Context // of the action, which is called later
	timeout    time.Duration

	called        bool
	data          json.RawMessage // when it was begun
	before, after json.RawMessage // of the call
	err           error
}

// Command decodes the command of a process manager, without sending it. It is nil for other attempts.
func (a *Attempt) Command() (any, error) {
	manager, ok := a.definition.(reactor)
	if !ok {
		return nil, nil
	}
	return manager.decode(a.task.command)
}

// Call calls what the definition says: the action, the compensation, or the bus with the command. Its work is done then, but
// nobody knows yet; see Answer and TimeOut.
func (a *Attempt) Call() error {
	a.called = true
	a.before, a.after, a.err = do(a.inside, a.definition, a.task, a.data)
	return a.err
}

// CallInstead is Call with another action. D must be the type of the saga's data.
func CallInstead[D any](a *Attempt, action Action[D]) error {
	a.called = true
	func() {
		defer recovered(a.task, &a.err)
		a.before, a.after, a.err = perform(a.data, func(data *D) error { return action(a.inside, data) })
	}()
	return a.err
}

// Answer brings what came of Call, which is called now unless it was.
func (a *Attempt) Answer() error {
	if !a.called {
		_ = a.Call() // its error is part of the outcome
	}
	return a.settle(a.err)
}

// Confirm answers that it is done, without a call.
func (a *Attempt) Confirm() error { return a.settle(nil) }

// Fail answers by an error, see Permanent and Unknown.
func (a *Attempt) Fail(err error) error { return a.settle(err) }

// TimeOut moves the clock on by the attempt's timeout: no answer has come until then. It may have been called.
func (a *Attempt) TimeOut() error {
	a.trial.Jump(a.timeout)
	return a.settle(timedOut(a.timeout))
}

// settle brings the outcome to the driver that has begun the attempt. A second one, or one that is void, changes nothing.
func (a *Attempt) settle(err error) error {
	o := &outcome{task: a.task.number, claim: a.task.claims, before: a.before, after: a.after, err: err}
	if err := a.driver.move(o); err != nil {
		return named("saga", a.Saga, a.ID, err)
	}
	return nil
}
