package saga_test

import (
	"context"
	"testing"
	"testing/synctest"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
)

func TestACompensationKnowsTheKeyOfWhatItUndoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		var done, undone saga.Info
		set := newSet(t, log, brief(t), define(t, "one", 1,
			saga.Step[order]{
				Name:         "a",
				Action:       func(ctx context.Context, _ *order) error { done, _ = saga.InfoFrom(ctx); return nil },
				Compensation: func(ctx context.Context, _ *order) error { undone, _ = saga.InfoFrom(ctx); return nil },
			},
			saga.Step[order]{Name: "b", Action: fails, Retry: saga.Retry{Attempts: 1}},
		))
		run(t, set)
		start(t, set, "one", "7", order{})
		settled(t, log, "one", "7", saga.StatusCompensated)
		if undone.Undoes != done.Key || undone.Key == done.Key || undone.Key == (event.ID{}) || done.Undoes != (event.ID{}) {
			t.Errorf("the action had %+v, the compensation %+v", done, undone)
		}
	})
}
