package aggregate

// Fold builds a state of type S from events.
type Fold[S any] struct {
	// Initial gives the state before the first event. It must give a new one each time if S holds maps or pointers.
	// Defaults to the zero value of S.
	Initial func() S

	// Evolve gives the state after an event. It must not check rules or fail for an event that happened: an error is
	// for one that it does not know. It may change the state that it gets in place and return it. Required.
	Evolve func(state S, event any) (S, error)
}

func (f Fold[S]) initial() S {
	if f.Initial == nil {
		var zero S
		return zero
	}
	return f.Initial()
}

func (f Fold[S]) evolve(state S, e any) (S, error) {
	if e == nil {
		return state, errNilEvent
	}
	return f.Evolve(state, e)
}
