package schedule_test

import (
	"context"
	"fmt"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/schedule"
	"lexigram.dev/events/schedule/cron"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

type cancelOrder struct {
	Order string `json:"order"`
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	types, bus := schema.NewRegistry(), command.NewBus(command.Options{})
	if err := schema.Register[cancelOrder](types, "order.cancel", schema.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	if err := command.Handle(bus, func(ctx context.Context, c cancelOrder) (command.None, error) {
		info, _ := schedule.InfoFrom(ctx)
		fmt.Println("cancel", c.Order, "as", info.ID, "says")
		stop()
		return command.None{}, nil
	}); err != nil {
		fmt.Println(err)
		return
	}
	s, err := schedule.New(store.New(memstore.New(memstore.Options{}), store.Options{}), schedule.Options{
		Schema: types, Commands: bus, Cron: cron.Parse,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The order is cancelled unless it is paid in time; whoever books the payment calls s.Cancel.
	if err := s.After(ctx, "unpaid/order-7", 10*time.Millisecond, schedule.Command(cancelOrder{"order-7"})); err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Run(ctx); err != nil { // in an application: engine.AddRunners(s)
		fmt.Println(err)
	}
	// Output: cancel order-7 as unpaid/order-7 says
}
