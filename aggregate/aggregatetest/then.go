package aggregatetest

import (
	"errors"
	"strings"
)

// Outcome is what came of a When. S is the state, or a pointer to the aggregate.
type Outcome[S any] struct {
	t        T
	state    S
	recorded []any
	err      error
	broken   bool // reported already
}

// Then fails the test unless exactly these events were recorded, in this order, and there was no error.
func (o *Outcome[S]) Then(events ...any) *Outcome[S] {
	o.t.Helper()
	switch {
	case o.broken:
	case o.err != nil:
		o.t.Errorf("then: want %s, got the error: %v", count(events), o.err)
	default:
		if lines, same := compare(events, o.recorded); !same {
			o.t.Errorf("then: want %s, got %s:\n%s", count(events), count(o.recorded), strings.Join(lines, "\n"))
		}
	}
	return o
}

// ThenNothing fails the test if an event was recorded, or there was an error.
func (o *Outcome[S]) ThenNothing() *Outcome[S] {
	o.t.Helper()
	return o.Then()
}

// ThenError fails the test unless the error is target, as errors.Is tells. What was recorded before an error does not
// matter, since it is not stored.
func (o *Outcome[S]) ThenError(target error) *Outcome[S] {
	o.t.Helper()
	switch {
	case o.broken || errors.Is(o.err, target) && o.err != nil:
	case o.err != nil:
		o.t.Errorf("then: want the error: %v\n       got the error: %v", target, o.err)
	default:
		lines, _ := compare(o.recorded, o.recorded)
		o.t.Errorf("then: want the error: %v\n       got none, and %s:\n%s", target, count(o.recorded), strings.Join(lines, "\n"))
	}
	return o
}

// ThenState calls check with the state after the recorded events, for checks of what no event says.
func (o *Outcome[S]) ThenState(check func(state S)) *Outcome[S] {
	o.t.Helper()
	if !o.broken {
		check(o.state)
	}
	return o
}
