package schedule_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schedule"
	"lexigram.dev/events/store"
)

var errBusy = errors.New("the line is busy")

// sleep lets time pass in a bubble.
func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble
	synctest.Wait()
}

func TestDeliveriesAreMadeWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := memory(t), &calls{}
		s := newScheduler(t, log, options(t, c, nil))
		start := time.Now()
		late := event.WithMetadata(t.Context(), event.Metadata{CorrelationID: "order 7", Actor: "ann"})
		must(t, s.At(t.Context(), "past", start.Add(-time.Hour), schedule.Event("reminder-1", reminded{"past"})))
		defer run(t, s)()
		sleep(time.Millisecond)
		if n := len(stored(t, log, "reminder-1")); n != 1 {
			t.Fatalf("%d late events at the start", n)
		}
		must(t, s.After(late, "years", 4*365*24*time.Hour, schedule.Command(remind{"years"})))
		must(t, s.After(late, "hour", time.Hour, schedule.Event("reminder-1", &reminded{"hour"})))
		must(t, s.At(late, "minute", start.Add(time.Minute), schedule.Command(remind{"minute"})))
		sleep(59 * time.Second)
		if n := len(c.list()); n != 0 {
			t.Fatalf("%d commands before they were due", n)
		}
		sleep(time.Second)
		got := c.list()
		if len(got) != 1 || got[0].who != "minute" || got[0].at.Sub(start) > time.Minute+time.Second {
			t.Fatalf("after a minute: %+v", got)
		}
		if m := got[0].meta; m.CorrelationID != "order 7" || m.Actor != "ann" || m.CausationID != got[0].info.Key.String() {
			t.Errorf("metadata %+v", m)
		}
		if i := got[0].info; i.ID != "minute" || i.Attempt != 1 || !i.Due.Equal(start.Add(time.Minute)) {
			t.Errorf("info %+v", i)
		}
		sleep(time.Hour)
		events := stored(t, log, "reminder-1")
		if len(events) != 2 || string(events[1].Data) != `{"who":"hour"}` || events[1].Type != "reminder.sent" {
			t.Fatalf("after an hour: %+v", events)
		}
		pending, err := s.Get(t.Context(), "years")
		must(t, err)
		if pending.Kind != schedule.KindCommand || pending.Type != "remind" || string(pending.Data) != `{"who":"years"}` {
			t.Errorf("pending: %+v", pending)
		}
		sleep(4 * 365 * 24 * time.Hour)
		if got := c.list(); len(got) != 2 || got[1].info.Key != pending.Key || got[1].at.Sub(pending.Due) > time.Second {
			t.Errorf("after years: %+v", got)
		}
		if n := records(t, log); len(n) != 0 {
			t.Errorf("left behind: %v", n)
		}
	})
}

func TestAnEarlierDeliveryOfAnotherProcessIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := memory(t), &calls{}
		o := options(t, c, nil)
		o.PollInterval = time.Second
		defer run(t, newScheduler(t, log, o))()
		sleep(time.Minute)
		other := newScheduler(t, log, options(t, &calls{}, nil))
		must(t, other.After(t.Context(), "x", time.Minute, schedule.Command(remind{"x"})))
		must(t, other.After(t.Context(), "y", time.Millisecond, schedule.Command(remind{"y"})))
		sleep(time.Second)
		if got := c.list(); len(got) != 1 || got[0].who != "y" {
			t.Fatalf("within the poll interval: %+v", got)
		}
		sleep(time.Minute)
		if got := c.list(); len(got) != 2 {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestAPoisonedCommandIsADeadLetterAndStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := memory(t), &calls{}
		poison := true
		o := options(t, c, func(_ context.Context, r remind) error {
			switch {
			case !poison:
				return nil
			case r.Who == "panic":
				panic("boom")
			case r.Who == "never":
				return schedule.Permanent(errBusy)
			case r.Who != "good":
				return errBusy
			}
			return nil
		})
		o.Attempts, o.Concurrency, o.PollInterval = 3, 1, time.Second
		s := newScheduler(t, log, o)
		now := time.Now()
		for _, who := range []string{"bad", "panic", "never"} {
			must(t, s.At(t.Context(), who, now, schedule.Command(remind{who})))
		}
		for i := range 20 {
			must(t, s.At(t.Context(), number(i), now.Add(time.Millisecond), schedule.Command(remind{"good"})))
		}
		defer run(t, s)()
		sleep(900 * time.Millisecond)
		good := 0
		for _, got := range c.list() {
			if got.who == "good" {
				good++
			}
		}
		if good != 20 {
			t.Errorf("%d good ones are made while bad ones wait", good)
		}
		p, err := s.Get(t.Context(), "bad")
		must(t, err)
		if p.Attempts != 1 || p.Error != errBusy.Error() || !p.Due.Equal(now.Truncate(time.Microsecond)) || p.Next.Sub(now) < 700*time.Millisecond {
			t.Errorf("between the attempts: %+v", p)
		}
		sleep(time.Minute)
		letters := deadletter.New(log, deadletter.Options{})
		byKey := map[string]deadletter.Letter{}
		for l, err := range letters.List(t.Context(), deadletter.Filter{Source: schedule.Source}) {
			must(t, err)
			byKey[l.Message.Key] = l
		}
		if len(byKey) != 3 || byKey["bad"].Attempts != 3 || byKey["panic"].Attempts != 3 || byKey["never"].Attempts != 1 ||
			byKey["bad"].Message.Headers[deadletter.TypeHeader] != "remind" || string(byKey["bad"].Message.Body) != `{"who":"bad"}` {
			t.Fatalf("letters: %+v", byKey)
		}
		if n := records(t, log); len(n) != 0 {
			t.Errorf("left behind: %v", n)
		}
		must(t, letters.Retry(t.Context(), byKey["never"].ID))
		sleep(2 * time.Second)
		l, err := letters.Get(t.Context(), byKey["never"].ID)
		must(t, err)
		if l.State != deadletter.StateParked || l.Attempts != 2 {
			t.Errorf("after a retry in vain: %+v", l)
		}
		poison = false
		before := len(c.list())
		must(t, letters.Retry(t.Context(), byKey["bad"].ID))
		sleep(2 * time.Second)
		got := c.list()[before:]
		if len(got) != 1 || got[0].info.Key.String() != byKey["bad"].Message.ID || got[0].info.Attempt != 4 || got[0].info.ID != "bad" {
			t.Errorf("the retry: %+v", got)
		}
		if n, err := letters.Count(t.Context(), deadletter.Filter{}); n != 2 || err != nil {
			t.Errorf("%d letters are left, %v", n, err)
		}
	})
}

func TestAnEventThatCannotBeAppendedIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		o := options(t, &calls{}, nil)
		o.PollInterval = time.Second
		s := newScheduler(t, log, o)
		must(t, s.After(t.Context(), "x", time.Minute, schedule.Event("reminder-1", event.Pending{Type: "odd", Data: []byte("{}"), Tags: []event.Tag{"a"}})))
		_, err := log.Append(t.Context(), "reminder-1", store.Any(), event.Pending{Type: "first", Data: []byte("{}")})
		must(t, err)
		_, err = log.Delete(t.Context(), "reminder-1", store.Any())
		must(t, err)
		defer run(t, s)()
		sleep(2 * time.Minute)
		letters := deadletter.New(log, deadletter.Options{})
		for l, err := range letters.List(t.Context(), deadletter.Filter{}) {
			must(t, err)
			if l.Attempts != 1 || l.Message.Headers["stream"] != "reminder-1" || l.Message.Headers["tags"] != `["a"]` {
				t.Errorf("letter %+v", l)
			}
		}
		if n, err := letters.Count(t.Context(), deadletter.Filter{Type: "odd"}); n != 1 || err != nil {
			t.Errorf("%d letters, %v", n, err)
		}
	})
}

func TestASlowHandlerIsLeftAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &calls{}
		o := options(t, c, func(ctx context.Context, _ remind) error {
			if i, _ := schedule.InfoFrom(ctx); i.Attempt == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		o.Timeout = time.Minute
		s := newScheduler(t, memory(t), o)
		defer run(t, s)()
		must(t, s.After(t.Context(), "x", 0, schedule.Command(remind{"x"})))
		sleep(time.Second)
		if err := s.Cancel(t.Context(), "x"); !errors.Is(err, schedule.ErrDelivering) {
			t.Errorf("cancelled while the handler is at it: %v", err)
		}
		if err := s.Replace(t.Context(), "x", schedule.After(time.Hour), schedule.Command(remind{"y"})); !errors.Is(err, schedule.ErrDelivering) {
			t.Errorf("replaced while the handler is at it: %v", err)
		}
		sleep(2 * time.Minute)
		if got := c.list(); len(got) != 2 || got[0].info.Key != got[1].info.Key {
			t.Errorf("got %+v", got)
		}
	})
}

func TestWhatRecursGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight, 2000-01-01 in UTC
		log, c := memory(t), &calls{}
		fails := 1
		s := newScheduler(t, log, options(t, c, func(context.Context, remind) error {
			if fails--; fails == 0 {
				return errBusy
			}
			return nil
		}))
		must(t, s.Every(t.Context(), "daily", "30 2 * * *", "Europe/Berlin", schedule.Command(remind{"daily"})))
		must(t, s.Every(t.Context(), "ends", "0 6 1 1 *", "UTC", schedule.Event("reminder-1", reminded{"ends"})))
		stop := run(t, s)
		sleep(26*time.Hour + 29*time.Minute)
		got := c.list()
		if len(got) != 3 || got[0].info.Key != got[1].info.Key || got[1].info.Attempt != 2 || got[1].info.Key == got[2].info.Key ||
			!got[2].info.Due.Equal(time.Date(2000, 1, 2, 1, 30, 0, 0, time.UTC)) {
			t.Fatalf("two days, the first with a failure: %+v", got)
		}
		if n := len(stored(t, log, "reminder-1")); n != 1 {
			t.Errorf("%d events", n)
		}

		// Over the change of the clock, and over a week in which nobody runs.
		sleep(time.Until(time.Date(2000, 3, 25, 12, 0, 0, 0, time.UTC)))
		before := len(c.list())
		sleep(24 * time.Hour)
		got = c.list()[before:]
		if len(got) != 1 || !got[0].info.Due.Equal(time.Date(2000, 3, 26, 1, 0, 0, 0, time.UTC)) || got[0].at.Sub(got[0].info.Due) > time.Second {
			t.Errorf("on the day without half past two: %+v", got)
		}
		stop()
		must(t, s.Schedule(t.Context(), "each", schedule.Every("0 12 * * *", "UTC").CatchUp(), schedule.Command(remind{"each"})))
		sleep(7 * 24 * time.Hour)
		before = len(c.list())
		again := newScheduler(t, log, options(t, c, nil))
		defer run(t, again)()
		sleep(time.Minute)
		n := map[string]int{}
		for _, got := range c.list()[before:] {
			if n[got.who]++; got.who == "daily" && !got.info.Due.Equal(time.Date(2000, 3, 27, 0, 30, 0, 0, time.UTC)) {
				t.Errorf("the late one is that of %v", got.info.Due)
			}
		}
		if n["daily"] != 1 || n["each"] != 7 {
			t.Errorf("after a week: %v", n)
		}
		p, err := again.Get(t.Context(), "daily")
		must(t, err)
		if !p.Due.Equal(time.Date(2000, 4, 3, 0, 30, 0, 0, time.UTC)) || p.Cron != "30 2 * * *" || p.Zone != "Europe/Berlin" {
			t.Errorf("the next: %+v", p)
		}
		must(t, again.Cancel(t.Context(), "daily"))
		must(t, again.Cancel(t.Context(), "each"))
		before = len(c.list())
		sleep(48 * time.Hour)
		if got := c.list()[before:]; len(got) != 0 {
			t.Errorf("after the cancellation: %+v", got)
		}
	})
}

func TestWhatRecursWaitsForAProcessThatCanReadIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := memory(t), &calls{}
		o := options(t, c, nil)
		o.PollInterval = time.Second
		must(t, newScheduler(t, log, o).Every(t.Context(), "x", "* * * * *", "UTC", schedule.Command(remind{"x"})))
		o.Cron = nil
		stop := run(t, newScheduler(t, log, o))
		sleep(3 * time.Minute)
		p, err := schedule.NewControl(log).Get(t.Context(), "x")
		must(t, err)
		if len(c.list()) != 0 || p.Error == "" {
			t.Errorf("made %d times; %+v", len(c.list()), p)
		}
		stop()
		o.Cron = options(t, c, nil).Cron
		defer run(t, newScheduler(t, log, o))()
		sleep(time.Minute + time.Second)
		if n := len(c.list()); n < 1 || n > 2 {
			t.Errorf("made %d times", n)
		}
	})
}

func TestADeliveryThatKillsItsProcessIsADeadLetterAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		var runs int
		for range 20 {
			dying := &mortal{Backend: log.Backend()}
			o := options(t, &calls{}, func(ctx context.Context, _ remind) error {
				runs++
				dying.kill()
				<-ctx.Done()
				return ctx.Err()
			})
			o.Lease, o.PollInterval, o.Grace, o.OnError = time.Second, 100*time.Millisecond, time.Millisecond, func(error) {}
			life := newScheduler(t, dying.store(), o)
			if runs == 0 {
				must(t, life.After(t.Context(), "x", 0, schedule.Command(remind{"x"})))
			}
			stop := run(t, life)
			sleep(10 * time.Second)
			stop()
		}
		if n, err := deadletter.New(log, deadletter.Options{}).Count(t.Context(), deadletter.Filter{Source: schedule.Source}); n != 1 || err != nil || runs != 11 {
			t.Errorf("%d letters after %d runs, %v", n, runs, err)
		}
	})
}

// reader counts the records that are read.
type reader struct {
	store.Backend
	records atomic.Int64
}

func (r *reader) Scan(ctx context.Context, s store.Scan) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for record, err := range r.Backend.Scan(ctx, s) {
			if strings.HasPrefix(s.Bucket, "schedule/agenda") {
				r.records.Add(1)
			}
			if !yield(record, err) {
				return
			}
		}
	}
}

func TestWhatIsNotDueCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pending = 20_000
		r := &reader{Backend: memory(t).Backend()}
		o := options(t, &calls{}, nil)
		o.PollInterval = time.Second
		s := newScheduler(t, store.New(r, store.Options{}), o)
		later := time.Now().Add(1000 * time.Hour)
		for i := range pending {
			must(t, s.At(t.Context(), number(i), later, schedule.Command(remind{"x"})))
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		defer run(t, s)()
		sleep(time.Minute)
		if n := r.records.Load(); n > 8*61 { // one of each agenda at each look
			t.Errorf("%d records are read in a minute of waiting", n)
		}
		r.records.Store(0)
		must(t, s.After(t.Context(), "soon", time.Millisecond, schedule.Command(remind{"soon"})))
		sleep(500 * time.Millisecond)
		if n := r.records.Load(); n > 20 {
			t.Errorf("%d records are read for one delivery", n)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("running takes %d bytes", grown)
		}
	})
}
