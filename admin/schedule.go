package admin

import "lexigram.dev/events/schedule"

// Schedule lists and cancels the deliveries that are scheduled in the store, whichever processes make them.
func (a *Admin) Schedule() *schedule.Control { return schedule.NewControl(a.store) }
