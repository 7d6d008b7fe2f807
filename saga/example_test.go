package saga_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type trip struct {
	Flight string `json:"flight,omitempty"`
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	booking, err := saga.Define("booking", 1,
		saga.Step[trip]{
			Name:         "flight",
			Action:       func(_ context.Context, t *trip) error { t.Flight = "LX 14"; return nil },
			Compensation: func(_ context.Context, t *trip) error { fmt.Println("give back", t.Flight); return nil },
		},
		saga.Step[trip]{
			Name:   "hotel",
			Action: func(context.Context, *trip) error { return saga.Permanent(errors.New("no room is free")) },
		},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	log := store.New(memstore.New(memstore.Options{}), store.Options{})
	set, err := saga.NewSet(log, saga.Options{OnError: func(error) {}}, booking)
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- set.Run(ctx) }()
	if err := set.Start(ctx, "booking", "ada", trip{}, saga.StartOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	var d saga.Detail
	for tick := time.NewTicker(time.Millisecond); !d.Status.Ended(); <-tick.C {
		if d, err = set.Control().Get(ctx, "booking", "ada"); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(d.Status, "since", d.Error)
	for _, m := range d.History {
		fmt.Println(strings.TrimSpace(m.What + " " + m.Step))
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// give back LX 14
	// compensated since step hotel: no room is free
	// started
	// step_started flight
	// step_succeeded flight
	// step_started hotel
	// step_failed hotel
	// compensating
	// compensation_started flight
	// compensation_succeeded flight
	// compensated
	// <nil>
}
