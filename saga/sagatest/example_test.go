package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/saga/sagatest"
	"lexigram.dev/events/schema"
)

// printer stands for the *testing.T of a test.
type printer struct{}

func (printer) Helper()                           {}
func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

type trip struct {
	Flight string `json:"flight,omitempty"`
	Hotel  string `json:"hotel,omitempty"`
}

func Example() {
	booking, err := saga.Define("booking", 1,
		saga.Step[trip]{
			Name:         "flight",
			Action:       func(_ context.Context, t *trip) error { t.Flight = "LX 14"; return nil },
			Compensation: func(_ context.Context, t *trip) error { t.Flight = ""; return nil },
		},
		saga.Step[trip]{
			Name:   "hotel",
			Action: func(_ context.Context, t *trip) error { t.Hotel = "Astoria"; return nil },
		},
		saga.Step[trip]{Name: "approval", Await: saga.Await[trip]{Signal: "approved", Within: 48 * time.Hour}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	t := printer{}
	sagatest.Given(t, booking, trip{}).
		TimesOut("hotel"). // the first attempt; the next one works
		Run().
		ThenSteps("flight", "hotel").
		ThenAwaits("approved").
		ThenDueIn(48 * time.Hour).
		Pass(48 * time.Hour).
		ThenStatus(saga.StatusCompensated).
		ThenUndone("flight").
		ThenData(trip{Hotel: "Astoria"})

	c := sagatest.Given(t, booking, trip{}).Fails("hotel", saga.Permanent(errors.New("no room is free"))).Run()
	c.ThenStatus(saga.StatusCompleted) // which is not true
	// Output:
	// then status: want completed, got compensated
	// It is compensated (step hotel: no room is free), 0s after its start, with {}. Its timeline:
	//        +0s  started
	//        +0s  step_started flight
	//        +0s  step_succeeded flight
	//        +0s  step_started hotel
	//        +0s  step_failed hotel: no room is free
	//        +0s  compensating: step hotel: no room is free
	//        +0s  compensation_started flight
	//        +0s  compensation_succeeded flight
	//        +0s  compensated: step hotel: no room is free
}

type (
	placed struct{ Order string }
	paid   struct{ Order string }
	ship   struct{ Order string }
	remind struct{ Order string }

	payment struct{ Reminders int }
)

// payments waits for the payments of orders, and reminds of them.
func payments() (*saga.Manager[payment], error) {
	registry := schema.NewRegistry()
	err := errors.Join(
		schema.Register[placed](registry, "order.placed", schema.Options{}),
		schema.Register[paid](registry, "order.paid", schema.Options{}),
		schema.Register[ship](registry, "ship", schema.Options{}),
		schema.Register[remind](registry, "remind", schema.Options{}),
	)
	if err != nil {
		return nil, err
	}
	return saga.Manage("payment", 1, registry, command.NewBus(command.Options{}),
		saga.Starts(func(e placed) string { return e.Order }, func(t *saga.Turn[payment], _ placed) error {
			t.SetTimer("unpaid", 24*time.Hour)
			return nil
		}),
		saga.On(func(e paid) string { return e.Order }, func(t *saga.Turn[payment], e paid) error {
			t.CancelTimer("unpaid")
			t.Send(ship(e))
			t.Complete()
			return nil
		}),
		saga.OnTimeout("unpaid", func(t *saga.Turn[payment]) error {
			t.State.Reminders++
			t.Send(remind{t.ID})
			t.SetTimer("unpaid", 24*time.Hour)
			return nil
		}),
	)
}

func ExampleGivenEvents() {
	manager, err := payments()
	if err != nil {
		fmt.Println(err)
		return
	}
	t := printer{}
	sagatest.GivenEvents(t, manager, placed{"7"}).
		WhenTimer("unpaid").
		ThenCommands(remind{"7"}).
		ThenTimers(sagatest.Timer{Name: "unpaid", In: 24 * time.Hour}).
		ThenState(payment{Reminders: 1}).
		When(paid{"7"}).
		ThenCommands(ship{"8"}). // which is not true
		ThenTimers().
		ThenStatus(saga.StatusCompleted)
	// Output:
	// then commands:
	//   want sagatest_test.ship{Order:8}
	//   got  sagatest_test.ship{Order:7}
	// It is completed, 24h0m0s after its start, with {"Reminders":1}. Its timeline:
	//        +0s  started
	//        +0s  reacted order.placed
	//        +0s  timer_set unpaid
	//   +24h0m0s  timer_fired unpaid
	//   +24h0m0s  reacted
	//   +24h0m0s  command_requested remind
	//   +24h0m0s  timer_set unpaid
	//   +24h0m0s  attempted remind (by worker 1)
	//   +24h0m0s  command_confirmed remind
	//   +24h0m0s  reacted order.paid
	//   +24h0m0s  timer_cancelled unpaid
	//   +24h0m0s  command_requested ship
	//   +24h0m0s  attempted ship (by worker 1)
	//   +24h0m0s  command_confirmed ship
	//   +24h0m0s  completed
}
