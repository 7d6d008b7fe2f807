package cli_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schedule"
	"lexigram.dev/events/schedule/cron"
	"lexigram.dev/events/schema"
)

func TestScheduledDeliveriesAreListedAndCancelled(t *testing.T) {
	s := newShell(t)
	s.append("order-7", "order.placed", `{}`)
	s.shows([]string{"nothing is scheduled"}, "schedule", "list")
	svc := newService(t, s)
	type remind struct{ Who string }
	types, bus := schema.NewRegistry(), command.NewBus(command.Options{})
	tried := make(chan struct{}, 1)
	if err := errors.Join(
		schema.Register[remind](types, "remind", schema.Options{}),
		command.Handle(bus, func(context.Context, remind) (command.None, error) {
			tried <- struct{}{}
			return command.None{}, errors.New("no such mailbox")
		}),
	); err != nil {
		t.Fatal(err)
	}
	scheduler, err := schedule.New(svc.store, schedule.Options{
		Schema: types, Commands: bus, Cron: cron.Parse, InitialPause: time.Hour, MaxPause: time.Hour, OnError: func(error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := errors.Join(
		scheduler.After(ctx, "mail/7", 0, schedule.Command(remind{"ann"})),
		scheduler.Every(ctx, "report", "30 9 * * 1-5", "Europe/Berlin", schedule.Event("report-daily", event.Pending{Type: "report.due", Data: []byte(`{"n":1}`)})),
		scheduler.After(ctx, "far", 24*time.Hour*365, schedule.Command(remind{"bob"})),
	); err != nil {
		t.Fatal(err)
	}
	s.shows([]string{"mail/7", "late"}, "schedule", "list", "--within", "1s")
	svc.start(scheduler.Run)
	<-tried
	svc.stop()
	s.shows([]string{"mail/7", "1 attempt failed, again at", "no such mailbox"}, "schedule", "list", "--kind", "command", "--limit", "1")
	s.shows([]string{"30 9 * * 1-5 Europe/Berlin", "report.due", "report-daily", `{"n":1}`, "waiting"}, "schedule", "list", "--kind", "event")
	s.shows([]string{"far", `{"Who":"bob"}`}, "schedule", "list", "--type", "remind", "--prefix", "f")
	s.shows([]string{`"id":"far"`, `"kind":"command"`, `"data":{"Who":"bob"}`}, "schedule", "list", "--prefix", "f", "--json")
	s.must("schedule", "cancel", "far")
	s.must("schedule", "cancel", "report", "--json")
	s.refuses(1, []string{"no such delivery is pending", "far"}, "schedule", "cancel", "far")
	s.refuses(2, []string{"--kind"}, "schedule", "list", "--kind", "letter")
	s.refuses(2, []string{"--limit"}, "schedule", "list", "--limit", "-1")
	s.shows([]string{"mail/7"}, "schedule", "list")
}
