package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Action does the work of a step, or undoes it. It may change the data, which is stored with the outcome. It must be
// idempotent under the key that InfoFrom gives: it is called again after a failure, a timeout or a crash. When ctx ends it
// should return soon.
//
// An error means that nothing was done. Where that is not known, say so by Unknown.
type Action[D any] func(ctx context.Context, data *D) error

// Unknown marks an error of an action that may have done its work all the same: when it has failed for good, its
// compensation runs too. Attempts that time out or panic count as such.
func Unknown(err error) error {
	if err == nil {
		return nil
	}
	return &unknownOutcome{err}
}

// End is where a Jump ends the saga as completed.
const End = "$end"

// Step is one row of an orchestrated saga. It has either an Action, or an Await, or Parallel steps.
type Step[D any] struct {
	// Name identifies the step in the history; unique in the saga. Required.
	Name string

	// Action does the work.
	Action Action[D]

	// Compensation undoes what the action has done. It also runs when that is not known, so it must bear to find nothing.
	// Defaults to nothing to undo.
	Compensation Action[D]

	// Await waits for a signal from outside.
	Await Await[D]

	// Parallel steps are run at the same time, each with its own copy of the data, whose changes are merged by top-level
	// field. They have no Next, OnFailure or Parallel of their own. When one fails the others go on to their ends, and
	// each that has done its work is compensated.
	Parallel []Step[D]

	// When skips the step unless it gives true. Defaults to always.
	When func(data D) bool

	// Next says where to go on: the first whose When gives true. Defaults to the step below; behind the last the saga is
	// completed.
	Next []Jump[D]

	// OnFailure is the step to go on with when this one has failed for good. Defaults to compensating.
	OnFailure string

	// Timeout, Retry and CompensationRetry default to those of the Set's options.
	Timeout                  time.Duration
	Retry, CompensationRetry Retry
}

// Jump is a way out of a step.
type Jump[D any] struct {
	To   string            // the name of a step, or End
	When func(data D) bool // nil: always
}

// Await is a wait for a signal: what a person decides, what a partner answers.
type Await[D any] struct {
	// Signal is its name. One that came before the step is taken too.
	Signal string

	// Within is the deadline, from when the step begins; then it has failed. Defaults to none.
	Within time.Duration

	// Receive takes the signal's data in; see Receiver. An error lets the step fail. Defaults to ignoring it.
	Receive func(data *D, signal json.RawMessage) error
}

// Receiver makes the Receive of an Await from a function that takes the signal's data as a value.
func Receiver[D, S any](take func(data *D, signal S) error) func(*D, json.RawMessage) error {
	return func(data *D, raw json.RawMessage) error {
		var signal S
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &signal); err != nil {
				return fmt.Errorf("decode the signal into %T: %w", signal, err)
			}
		}
		return take(data, signal)
	}
}

// Send makes an action that dispatches a command; its handler finds the key by InfoFrom.
func Send[D any](bus Dispatcher, command func(data D) any) Action[D] {
	return func(ctx context.Context, data *D) error {
		_, err := bus.Dispatch(ctx, command(*data))
		return err
	}
}

// Dispatcher sends a command to its handler; command.Bus is one.
type Dispatcher interface {
	Dispatch(ctx context.Context, command any) (any, error)
}
