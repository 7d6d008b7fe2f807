package admin

import "lexigram.dev/events/saga"

// Sagas looks into and steers the sagas of the store, whichever processes run them.
func (a *Admin) Sagas() *saga.Control { return saga.NewControl(a.store, saga.ControlOptions{}) }
