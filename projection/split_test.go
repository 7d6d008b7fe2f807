package projection_test

import (
	"context"
	"fmt"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// basket is how several Added were stored before.
type basket struct{ Cents []int }

func TestAProjectionGetsEventsUnderEachNameAndAllValuesThatOneIsReadAs(t *testing.T) {
	s := memoryShop(t)
	must(t, schema.Split(s.registry, "order.basket", schema.Options{}, func(b basket) (parts []any, err error) {
		for range b.Cents {
			parts = append(parts, Added{}, &Shipped{})
		}
		return parts, nil
	}, schema.Into[Added](), schema.Into[Shipped]()))
	must(t, schema.Drop(s.registry, "order.noise"))
	var seen []string
	done := make(chan struct{})
	note := func(kind string, r event.Recorded) {
		seen = append(seen, fmt.Sprintf("%s %s@%d", kind, r.Type, r.Position))
	}
	p := projection.New(s.Store, s.registry, "parts", quick(t))
	projection.On(p, func(_ context.Context, _ Added, r event.Recorded) error { note("added", r); return nil })
	projection.On(p, func(_ context.Context, _ *Shipped, r event.Recorded) error { note("shipped", r); return nil })
	projection.OnType(p, "order.basket", func(_ context.Context, r event.Recorded) error { note("raw", r); return nil })
	projection.OnType(p, "order.noise", func(_ context.Context, r event.Recorded) error { note("raw", r); close(done); return nil })
	for _, e := range []event.Pending{
		{Type: "order.added", Data: []byte(`{}`)},
		{Type: "order.basket", Data: []byte(`{"Cents":[1,2]}`)},
		{Type: "order.basket", Data: []byte(`{}`)},
		{Type: "order.noise", Data: []byte(`?`)},
	} {
		_, err := s.Append(t.Context(), "order-1", store.Any(), e)
		must(t, err)
	}
	stop := start(t, p)
	<-done
	stop()
	want := "[added order.added@1 added order.basket@2 raw order.basket@2 shipped order.basket@2 added order.basket@2 shipped order.basket@2 raw order.basket@3 raw order.noise@4]"
	if got := fmt.Sprint(seen); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
