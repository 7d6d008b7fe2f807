package saga_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/saga"
	"lexigram.dev/events/subscription"
)

func TestARebuiltIndexSaysWhatTheOldOneSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, l, log := context.Background(), newLedger(), memory(t)
		definition := define(t, "approval", 1,
			saga.Step[order]{Name: "reserve", Action: l.does("reserve")},
			saga.Step[order]{Name: "ask", When: func(o order) bool { return o.Item == "car" }, Await: saga.Await[order]{Signal: "approved", Within: time.Hour}},
		)
		set := newSet(t, log, brief(t), definition)
		control := set.Control()
		stop := run(t, set)
		start(t, set, "approval", "done", order{Item: "cup"})
		start(t, set, "approval", "asks", order{Item: "car"})
		indexed(t, log, saga.Filter{Saga: "approval", Status: saga.StatusCompleted}, 1)
		indexed(t, log, saga.Filter{Saga: "approval", Status: saga.StatusWaiting}, 1)
		if err := control.Rebuild(ctx, "approval"); !errors.Is(err, subscription.ErrRunning) {
			t.Errorf("rebuild of what runs: %v", err)
		}
		stop()
		before := indexOf(t, log, "approval")
		if err := control.Rebuild(ctx, "approval"); err != nil {
			t.Fatal(err)
		}
		if left := indexOf(t, log, "approval"); len(left) > 0 {
			t.Errorf("left of the old index: %v", left)
		}

		run(t, newSet(t, log, brief(t), definition))
		indexed(t, log, saga.Filter{Saga: "approval", Status: saga.StatusCompleted}, 1)
		indexed(t, log, saga.Filter{Saga: "approval", Status: saga.StatusWaiting}, 1)
		if after := indexOf(t, log, "approval"); !maps.Equal(before, after) {
			t.Errorf("the index was\n%v\nand is now\n%v", before, after)
		}
		if n := l.count("reserve"); n != 2 {
			t.Errorf("reserve has taken effect %d times, want 2", n)
		}
	})
}
