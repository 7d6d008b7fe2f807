package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"lexigram.dev/events/saga"
)

// report prints what was found.
func (p *proof) report(s *summary) {
	if p.out == nil {
		return
	}
	p.say("chaos:        %d workers killed with -9, %d frozen until their leases were over; %d actions and compensations were taken over by another worker",
		s.Kills, s.Freezes, s.Interrupted)
	p.say("instances:    %d in %v: %d completed, %d compensated, %d compensation failed, as the operator can see", s.Instances, s.Took.Round(100*time.Millisecond),
		s.Statuses[saga.StatusCompleted], s.Statuses[saga.StatusCompensated], s.Statuses[saga.StatusCompensationFailed])
	p.say("retried:      %d of %d whose compensation had failed, after the repair", s.Retried, s.Failed)
	p.say("refused:      %d requests that came after they had been taken back", s.RefusedCalls)
	w := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tdone (histories)\tdone (ledger)\tnot done\tnobody knew\tof these done\tasked again\tnothing to undo\t")
	row := func(name string, t *tally, undo bool) {
		none := ""
		if undo {
			none = fmt.Sprint(t.NotFound)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", name, t.Done, t.Ledger, t.NotDone, t.Unknown, t.Happened, t.Doubled, none)
	}
	for _, step := range steps() {
		row(step, s.Actions[step], false)
	}
	for _, step := range steps() {
		if compensable(step) {
			row("undo "+step, s.Compensations[step], true)
		}
	}
	_ = w.Flush() // as the other lines: a terminal that has gone
}
