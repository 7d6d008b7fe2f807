package events

import (
	"errors"
	"fmt"

	"lexigram.dev/events/saga"
)

// AddSagas makes a saga.Set of definitions over the engine's store and adds it as a part, before Run: once, with all sagas
// that this process runs. Process managers get the engine's schema and command bus from whoever defines them. Where the
// options say nothing of it, the clock is the engine's, and the events that a process manager fails at for good become its
// dead letters.
func (e *Engine) AddSagas(o saga.Options, definitions ...saga.Definer) (*saga.Set, error) {
	if o.Now == nil {
		o.Now = e.now
	}
	if o.DeadLetters == nil {
		o.DeadLetters = e.letters
	}
	set, err := saga.NewSet(e.store, o, definitions...)
	if err == nil && len(definitions) == 0 {
		err = errors.New("there are none")
	}
	if err == nil {
		err = e.AddRunners(set)
	}
	if err != nil {
		return nil, fmt.Errorf("add sagas: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sagas = set
	return set, nil
}

// Sagas gives the set that AddSagas has made, which starts instances and, by its Control, steers them; nil when there is none.
func (e *Engine) Sagas() *saga.Set {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sagas
}
