package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/schedule"
	"lexigram.dev/events/schedule/cron"
	"lexigram.dev/events/store"
)

func TestTheSameAgainIsTakenOnce(t *testing.T) {
	s := newScheduler(t, memory(t), options(t, &calls{}, nil))
	at := time.Now().Add(time.Hour)
	same := func() []error {
		ctx := t.Context()
		return []error{
			s.At(ctx, "at", at, schedule.Command(remind{"a"})),
			s.After(ctx, "after", time.Hour, schedule.Command(&remind{"a"})),
			s.Every(ctx, "every", "0 0 * * *", "UTC", schedule.Event("reminder-1", reminded{"a"})),
		}
	}
	for range 2 {
		must(t, errors.Join(same()...))
	}
	if n := len(list(t, s.Control, schedule.Filter{})); n != 3 {
		t.Errorf("%d are pending", n)
	}
	for what, err := range map[string]error{
		"another time":    s.At(t.Context(), "at", at.Add(time.Second), schedule.Command(remind{"a"})),
		"other data":      s.At(t.Context(), "at", at, schedule.Command(remind{"b"})),
		"another kind":    s.At(t.Context(), "at", at, schedule.Event("reminder-1", reminded{"a"})),
		"another while":   s.After(t.Context(), "after", time.Minute, schedule.Command(remind{"a"})),
		"another stream":  s.Every(t.Context(), "every", "0 0 * * *", "UTC", schedule.Event("reminder-2", reminded{"a"})),
		"another zone":    s.Every(t.Context(), "every", "0 0 * * *", "Asia/Tokyo", schedule.Event("reminder-1", reminded{"a"})),
		"missed ones too": s.Schedule(t.Context(), "every", schedule.Every("0 0 * * *", "UTC").CatchUp(), schedule.Event("reminder-1", reminded{"a"})),
	} {
		if !errors.Is(err, schedule.ErrExists) || !strings.Contains(err.Error(), "due at") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAReplacementTakesThePlace(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		log := store.New(open(), store.Options{})
		s := newScheduler(t, log, brief(t, &calls{}, nil))
		at := time.Now().Add(time.Hour)
		for _, c := range []struct {
			when schedule.When
			what schedule.Delivery
		}{
			{schedule.At(at), schedule.Command(remind{"a"})}, // nothing is there yet
			{schedule.At(at), schedule.Command(remind{"b"})},
			{schedule.After(time.Minute), schedule.Command(remind{"b"})},
			{schedule.Every("@yearly", "UTC"), schedule.Event("reminder-1", reminded{"c"})},
			{schedule.At(time.Time{}.AddDate(1900, 0, 0)), schedule.Event("reminder-1", reminded{"d"})}, // long past
		} {
			must(t, s.Replace(t.Context(), "x", c.when, c.what))
			all := list(t, s.Control, schedule.Filter{})
			got, err := s.Get(t.Context(), "x")
			must(t, err)
			if len(all) != 1 || all[0].Key != got.Key {
				t.Fatalf("after %v: %+v, %+v", c.when, all, got)
			}
		}
		stop := run(t, s)
		empty(t, s.Control)
		stop()
		if events := stored(t, log, "reminder-1"); len(events) != 1 || string(events[0].Data) != `{"who":"d"}` {
			t.Errorf("events %+v", events)
		}
		if err := s.Cancel(t.Context(), "x"); !errors.Is(err, schedule.ErrUnknown) {
			t.Errorf("cancelled after it was made: %v", err)
		}
	})
}

func TestTheListIsInTheOrderOfTime(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := newScheduler(t, store.New(open(), store.Options{}), brief(t, &calls{}, nil))
		start := time.Now().Add(time.Hour).Truncate(time.Second)
		const n = 150
		for i := range n {
			d := schedule.Command(remind{number(i)})
			if i%3 == 0 {
				d = schedule.Event("reminder-1", reminded{number(i)})
			}
			// Scattered, so that neither ids nor insertion give the order.
			must(t, s.At(t.Context(), number(i), start.Add(time.Duration(i*37%n)*time.Second), d))
		}
		for _, c := range []struct {
			filter      schedule.Filter
			first, many int
		}{
			{schedule.Filter{}, 0, n},
			{schedule.Filter{Limit: 7}, 0, 7},
			{schedule.Filter{From: start.Add(10 * time.Second), Before: start.Add(15 * time.Second)}, 10, 5},
		} {
			got := list(t, s.Control, c.filter)
			if len(got) != c.many {
				t.Fatalf("%+v gives %d", c.filter, len(got))
			}
			for i, p := range got {
				if !p.Due.Equal(start.Add(time.Duration(c.first+i) * time.Second)) {
					t.Fatalf("%+v: number %d is due at %v", c.filter, i, p.Due)
				}
			}
		}
		for _, c := range []struct {
			filter schedule.Filter
			many   int
		}{{schedule.Filter{Kind: schedule.KindEvent}, n / 3}, {schedule.Filter{Type: "remind"}, n * 2 / 3}, {schedule.Filter{Prefix: "n001"}, 10}} {
			if got := list(t, s.Control, c.filter); len(got) != c.many {
				t.Errorf("%+v gives %d", c.filter, len(got))
			}
		}
	})
}

func TestWhatCannotBeDeliveredIsRefusedAtOnce(t *testing.T) {
	ctx := t.Context()
	s := newScheduler(t, memory(t), options(t, &calls{}, nil))
	bare := newScheduler(t, memory(t), schedule.Options{})
	good, soon := schedule.Command(remind{"a"}), schedule.After(time.Hour)
	type unencodable struct{ C chan int }
	for _, c := range []struct {
		err  error
		kind error
		want string
	}{
		{s.At(ctx, "x", time.Time{}, good), store.ErrInvalid, "the time is zero"},
		{s.At(ctx, "x", time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), good), store.ErrInvalid, "too far ahead"},
		{s.At(ctx, "x", time.Date(400_000, 1, 1, 0, 0, 0, 0, time.UTC), good), store.ErrInvalid, "400000"},
		{s.After(ctx, "x", -time.Second, good), store.ErrInvalid, "-1s"},
		{s.Schedule(ctx, "x", schedule.When{}, good), store.ErrInvalid, "not said when"},
		{s.Schedule(ctx, "x", soon.CatchUp(), good), store.ErrInvalid, "only what recurs"},
		{s.Every(ctx, "x", "0 25 * * *", "UTC", good), store.ErrInvalid, "hour at position 3"},
		{s.Every(ctx, "x", "0 0 30 2 *", "UTC", good), store.ErrInvalid, "no such time"},
		{s.Every(ctx, "x", "0 0 * * *", "Mars", good), store.ErrInvalid, "Mars"},
		{s.Every(ctx, "x", "0 0 * * *", "", good), store.ErrInvalid, "zone is missing"},
		{bare.Every(ctx, "x", "0 0 * * *", "UTC", schedule.Event("a-1", event.Pending{Type: "t"})), store.ErrInvalid, "Options.Cron"},
		{bare.After(ctx, "x", time.Hour, good), store.ErrInvalid, "Options.Commands"},
		{s.Schedule(ctx, "x", soon, schedule.Delivery{}), store.ErrInvalid, "not said what"},
		{s.Schedule(ctx, "x", soon, schedule.Command(calls{})), store.ErrInvalid, "schedule_test.calls"},
		{s.Schedule(ctx, "x", soon, schedule.Command(nil)), store.ErrInvalid, "<nil>"},
		{s.Schedule(ctx, "x", soon, schedule.Command(event.Pending{Type: "t"})), store.ErrInvalid, "registered type"},
		{s.Schedule(ctx, "x", soon, schedule.Event("a-1", unencodable{})), store.ErrInvalid, "unencodable"},
		{s.Schedule(ctx, "x", soon, schedule.Event("nodash", reminded{})), store.ErrInvalid, "nodash"},
		{s.Schedule(ctx, "x", soon, schedule.Event("$a-1", reminded{})), store.ErrInvalid, "$"},
		{s.Schedule(ctx, "x", soon, schedule.Event("", reminded{})), store.ErrInvalid, "stream"},
		{s.Schedule(ctx, "x", soon, schedule.Event(event.StreamID("a-"+strings.Repeat("x", 300)), reminded{})), store.ErrTooLarge, "302"},
		{s.Schedule(ctx, "x", soon, schedule.Event("a-1", event.Pending{})), store.ErrInvalid, "event type"},
		{s.Schedule(ctx, "x", soon, schedule.Event("a-1", event.Pending{Type: "t", Data: make([]byte, 2<<20)})), store.ErrTooLarge, "2097152"},
		{s.Schedule(ctx, "", soon, good), store.ErrInvalid, "id"},
		{s.Schedule(ctx, strings.Repeat("x", 257), soon, good), store.ErrTooLarge, "257"},
		{s.Cancel(ctx, strings.Repeat("x", 257)), store.ErrTooLarge, "257"},
		{s.Cancel(ctx, "x"), schedule.ErrUnknown, "cancel delivery x"},
	} {
		if !errors.Is(c.err, c.kind) || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("got %v, want %q", c.err, c.want)
		}
	}
	for _, err := range s.List(ctx, schedule.Filter{Kind: "letter"}) {
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("list: %v", err)
		}
	}
	if n := records(t, memory(t)); len(n) != 0 {
		t.Errorf("stored: %v", n)
	}
	must(t, s.Schedule(ctx, strings.Repeat("x", 256), soon, good))
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := schedule.New(nil, schedule.Options{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("without a store: %v", err)
	}
	_, err := schedule.New(memory(t), schedule.Options{Attempts: -1, InitialPause: 2, MaxPause: 1, Lease: -1})
	for _, want := range []string{"-1 attempts", "pauses", "lease"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	s := newScheduler(t, memory(t), schedule.Options{})
	stop := run(t, s)
	defer stop()
	if err := s.Health(t.Context()); err != nil || s.Name() != "schedule" {
		t.Error(err)
	}
}

func TestSchedulingIsPartOfATransaction(t *testing.T) {
	everystore.Main(t, func(t *testing.T, open everystore.Opener) {
		log := store.New(open(), store.Options{})
		if _, ok := log.Backend().(store.Transactor); !ok {
			t.Skip("it has no transactions")
		}
		c := &calls{}
		s := newScheduler(t, log, brief(t, c, nil))
		defer run(t, s)()
		undone := errors.New("undone")
		for _, outcome := range []error{undone, nil} {
			err := log.Transact(t.Context(), func(ctx context.Context) error {
				for range 2 { // the second time it is there
					if err := s.After(ctx, "x", 0, schedule.Command(remind{fmt.Sprint(outcome)})); err != nil {
						return err
					}
				}
				if err := s.After(ctx, "x", time.Minute, schedule.Command(remind{"other"})); !errors.Is(err, schedule.ErrExists) {
					return fmt.Errorf("other content: %w", err)
				}
				if _, err := log.Append(ctx, "order-1", store.Any(), event.Pending{Type: "placed", Data: []byte("{}")}); err != nil {
					return err
				}
				return outcome
			})
			if !errors.Is(err, outcome) {
				t.Fatal(err)
			}
		}
		empty(t, s.Control)
		if got := c.list(); len(got) != 1 || got[0].who != "<nil>" {
			t.Errorf("made: %+v", got)
		}
		if n := len(stored(t, log, "order-1")); n != 1 {
			t.Errorf("%d orders", n)
		}
	})
}

func TestADamagedEntryStopsNobody(t *testing.T) {
	log, c := memory(t), &calls{}
	s := newScheduler(t, log, brief(t, c, nil))
	for i := range 8 {
		_, err := log.Apply(t.Context(), store.Put("schedule/agenda", fmt.Sprintf("command/%02d/0000000000000001/x", i), []byte("{")))
		must(t, err)
	}
	must(t, s.After(t.Context(), "good", 0, schedule.Command(remind{"good"})))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	defer run(t, s)()
	for len(c.list()) == 0 {
		<-tick.C
	}
	for _, err := range s.List(t.Context(), schedule.Filter{}) {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("list: %v", err)
		}
	}
}

// cron.Parse is what Options.Cron takes.
var _ = schedule.Options{Cron: cron.Parse}
