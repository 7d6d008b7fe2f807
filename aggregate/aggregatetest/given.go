package aggregatetest

import (
	"fmt"

	"lexigram.dev/events/aggregate"
)

// T is what the kit needs of a *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Case is an aggregate with a past.
type Case[A any] struct {
	t         T
	aggregate *A
	changes   func(*A) []any
	fault     error
}

// Given gives an aggregate to which the events have happened.
func Given[A any, P interface {
	*A
	aggregate.Aggregate
}](t T, events ...any) *Case[A] {
	a := new(A)
	return &Case[A]{
		t: t, aggregate: a, fault: aggregate.Replay(P(a), events...),
		changes: func(a *A) []any { return aggregate.Changes(P(a)) },
	}
}

// When does something to the aggregate, once. The outcome is to be checked by one of its methods.
func (c *Case[A]) When(act func(a *A) error) *Outcome[*A] {
	c.t.Helper()
	o := &Outcome[*A]{t: c.t, state: c.aggregate}
	if o.broken = c.fault != nil; o.broken {
		c.t.Errorf("given: %v", c.fault)
		return o
	}
	o.err = act(c.aggregate)
	o.recorded = c.changes(c.aggregate)
	return o
}

// FoldCase is a folded state with a past.
type FoldCase[S any] struct {
	t     T
	fold  aggregate.Fold[S]
	state S
	fault error
}

// GivenFold gives the state after the events.
func GivenFold[S any](t T, fold aggregate.Fold[S], events ...any) *FoldCase[S] {
	c := &FoldCase[S]{t: t, fold: fold}
	if fold.Initial != nil {
		c.state = fold.Initial()
	}
	c.state, c.fault = evolve(fold, c.state, events)
	return c
}

// When decides on the state, once. The outcome is to be checked by one of its methods. The events that decide gives must
// fold, as they must when they are stored.
func (c *FoldCase[S]) When(decide func(state S) ([]any, error)) *Outcome[S] {
	c.t.Helper()
	o := &Outcome[S]{t: c.t}
	if o.broken = c.fault != nil; o.broken {
		c.t.Errorf("given: %v", c.fault)
		return o
	}
	o.recorded, o.err = decide(c.state)
	if o.state = c.state; o.err == nil {
		o.state, o.err = evolve(c.fold, c.state, o.recorded)
	}
	return o
}

func evolve[S any](fold aggregate.Fold[S], state S, events []any) (S, error) {
	var err error
	for i, e := range events {
		if state, err = fold.Evolve(state, e); err != nil {
			return state, fmt.Errorf("fold event %d (%T): %w", i+1, e, err)
		}
	}
	return state, nil
}
