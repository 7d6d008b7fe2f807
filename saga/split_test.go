package saga_test

import (
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// bulk is how several events were stored before.
type bulk struct{ Orders []string }

func TestAProcessManagerGetsAllValuesThatAnEventIsReadAsEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newShop(t), memory(t)
		err := schema.Split(s.registry, "order.bulk", schema.Options{}, func(b bulk) (parts []any, err error) {
			for _, id := range b.Orders {
				parts = append(parts, paid{id}, placed{id, 100}) // paid comes too early, and is kept
			}
			return parts, nil
		}, schema.Into[placed](), schema.Into[paid]())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), "bulk-1", store.Any(), event.Pending{Type: "order.bulk", Data: []byte(`{"Orders":["7","8"]}`)}); err != nil {
			t.Fatal(err)
		}
		stop := run(t, newSet(t, log, brief(t), s.manager(t)))
		time.Sleep(5 * time.Second) //nolint:forbidigo // in a bubble
		stop()
		// All is brought again, as after a crash before the checkpoint.
		if _, err := log.Apply(t.Context(), store.Delete("subscription/checkpoints", "events of saga payment/00000")); err != nil {
			t.Fatal(err)
		}
		run(t, newSet(t, log, brief(t), s.manager(t)))
		time.Sleep(5 * time.Second) //nolint:forbidigo // in a bubble
		if got := s.commands(); got != "ship 7, ship 8" && got != "ship 8, ship 7" {
			t.Errorf("sent: %s", got)
		}
		for _, id := range []string{"7", "8"} {
			if d := detail(t, log, "payment", id); d.Status != saga.StatusWaiting {
				t.Errorf("%s: %s: %s", id, d.Status, story(d))
			}
		}
	})
}
