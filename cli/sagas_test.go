package cli_test

import (
	"context"
	"errors"
	"testing"

	"lexigram.dev/events/saga"
)

func TestSagasAreListedShownAndSteered(t *testing.T) {
	s := newShell(t)
	s.append("order-7", "order.placed", `{}`)
	svc := newService(t, s)
	type data struct{ By string }
	d, err := saga.Define("approval", 1,
		saga.Step[data]{
			Name:         "ask",
			Action:       func(context.Context, *data) error { return nil },
			Compensation: func(context.Context, *data) error { return saga.Permanent(errors.New("the printer is out of paper")) },
		},
		saga.Step[data]{Name: "approve", Await: saga.Await[data]{
			Signal: "approved", Receive: saga.Receiver(func(d *data, by string) error { d.By = by; return nil }),
		}},
	)
	if err != nil {
		t.Fatal(err)
	}
	set, err := saga.NewSet(svc.store, saga.Options{OnError: func(error) {}}, d)
	if err != nil {
		t.Fatal(err)
	}
	svc.start(set.Run)
	for _, id := range []string{"1", "2", "3"} {
		if err := set.Start(t.Context(), "approval", id, data{}, saga.StartOptions{Correlation: "c" + id}); err != nil {
			t.Fatal(err)
		}
	}
	s.shows([]string{"approval", "waiting"}, "sagas", "list", "--saga", "approval", "--correlation", "c1", "--status", "waiting")
	s.shows([]string{"awaits", "approved", "✓ step succeeded ask", "└─● signal awaited approve"}, "sagas", "show", "approval", "1")
	s.refuses(1, []string{`no signal "ok"`, "approved"}, "sagas", "signal", "approval", "1", "ok")
	s.refuses(2, []string{"--data"}, "sagas", "signal", "approval", "1", "approved", "--data", "{")
	s.refuses(1, []string{"unknown instance"}, "sagas", "show", "approval", "9")
	s.must("sagas", "signal", "approval", "1", "approved", "--data", `"ann"`, "--key", "mail 17")
	s.shows([]string{"└─✓ completed", `{"By":"ann"}`, "+0s ├─● started", "correlation  c1", "removed at"}, "sagas", "show", "approval", "1")
	s.refuses(1, []string{"has ended"}, "sagas", "signal", "approval", "1", "approved")

	s.shows([]string{"waiting"}, "sagas", "show", "approval", "2")
	s.must("sagas", "suspend", "approval", "2", "--by", "ann", "--reason", "audit")
	s.shows([]string{"reason       suspended by ann: audit", "● suspended by ann: audit"}, "sagas", "show", "approval", "2")
	s.must("sagas", "resume", "approval", "2")
	s.must("sagas", "cancel", "approval", "2", "--reason", "a mistake")
	s.shows([]string{"cancelled", "a mistake"}, "sagas", "list", "--saga", "approval", "--status", "cancelled")

	s.shows([]string{"waiting"}, "sagas", "show", "approval", "3")
	s.must("sagas", "compensate", "approval", "3")
	s.shows([]string{"compensation_failed", "out of paper"}, "sagas", "list", "--status", "compensation_failed")
	s.must("sagas", "retry", "approval", "3", "--json")
	s.refuses(1, []string{"no such status"}, "sagas", "list", "--status", "odd")
}
