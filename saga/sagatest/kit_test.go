package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/saga/sagatest"
)

// fake collects what the kit reports.
type fake struct{ reports []string }

func (*fake) Helper() {}

func (f *fake) Errorf(format string, args ...any) {
	f.reports = append(f.reports, fmt.Sprintf(format, args...))
}

func (f *fake) wants(t *testing.T, phrases ...string) {
	t.Helper()
	if len(f.reports) != 1 {
		t.Fatalf("%d reports, want 1: %q", len(f.reports), f.reports)
	}
	for _, phrase := range phrases {
		if !strings.Contains(f.reports[0], phrase) {
			t.Errorf("the report lacks %q:\n%s", phrase, f.reports[0])
		}
	}
}

type order struct {
	Done  []string `json:"done,omitempty"`
	Ship  string   `json:"ship"`
	Mail  string   `json:"mail"`
	Signs string   `json:"signs,omitempty"`
}

func does(what string) saga.Action[order] {
	return func(_ context.Context, o *order) error {
		o.Done = append(o.Done, what)
		return nil
	}
}

// world counts effects by their keys.
type world map[event.ID]int

func fulfilment(t *testing.T, w world) *saga.Definition[order] {
	t.Helper()
	d, err := saga.Define("fulfilment", 1,
		saga.Step[order]{Name: "reserve", Action: does("reserve"), Compensation: does("release")},
		saga.Step[order]{Name: "charge", Compensation: does("refund"), Action: func(ctx context.Context, o *order) error {
			info, _ := saga.InfoFrom(ctx)
			w[info.Key]++
			return does("charge")(ctx, o)
		}},
		saga.Step[order]{Name: "deliver", Parallel: []saga.Step[order]{
			{Name: "ship", Action: func(_ context.Context, o *order) error { o.Ship = "T-1"; return nil }, Compensation: does("recall")},
			{Name: "mail", Action: func(_ context.Context, o *order) error { o.Mail = "M-1"; return nil }},
		}},
		saga.Step[order]{Name: "sign", Await: saga.Await[order]{Signal: "signed", Within: 48 * time.Hour, Receive: saga.Receiver(
			func(o *order, by string) error { o.Signs = by; return nil })}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var errNo = errors.New("no")

func TestStepsRunInOrderAndSignalsEndTheWait(t *testing.T) {
	sagatest.Given(t, fulfilment(t, world{}), order{}).
		Run().
		ThenStatus(saga.StatusWaiting).
		ThenSteps("reserve", "charge", "ship", "mail").
		ThenAwaits("signed").
		Pass(47*time.Hour).
		ThenDueIn(time.Hour).
		Signal("signed", "ann").
		ThenStatus(saga.StatusCompleted).
		ThenFailed().
		ThenUndone().
		ThenData(order{Done: []string{"reserve", "charge"}, Ship: "T-1", Mail: "M-1", Signs: "ann"})
}

func TestAttemptsEndAsTheTestSays(t *testing.T) {
	w := world{}
	c := sagatest.Given(t, fulfilment(t, w), order{}).
		Fails("reserve", errNo, saga.Unknown(errNo)).
		AnswersLate("charge").
		Crashes("charge").
		TimesOut("mail").
		AlwaysFails("ship", errNo).
		Fails(sagatest.CompensationOf("charge"), errNo).
		Run().
		ThenStatus(saga.StatusCompensated).
		ThenReason("step ship: no").
		ThenSteps("reserve", "charge", "mail").
		ThenFailed("ship").
		ThenUndone("charge", "reserve")
	if len(w) != 1 {
		t.Errorf("charge has %d keys, want 1 at each of its attempts: %v", len(w), w)
	}
	for _, n := range w {
		if n != 3 {
			t.Errorf("charge was called %d times, want 3: once late, once by a worker that died, once more", n)
		}
	}
	c.Then(func(d saga.Detail) {
		if len(d.History) < 20 {
			t.Errorf("history: %+v", d.History)
		}
	})
}

func TestAnActionIsReplaced(t *testing.T) {
	sagatest.Given(t, fulfilment(t, world{}), order{}).
		Does("charge", does("charge nothing")).
		Does(sagatest.CompensationOf("charge"), func(context.Context, *order) error { panic("oh") }).
		Run().
		Pass(48*time.Hour).
		ThenStatus(saga.StatusCompensating). // the clock stands still now, and the next attempt comes later
		Run().
		ThenFailed("sign").
		ThenStatus(saga.StatusCompensationFailed).
		ThenReason("panic: oh").
		ThenUndone("ship").
		Does(sagatest.CompensationOf("charge"), does("refund")).
		Operate(func(c *saga.Control, name, id string) error { return c.Retry(context.Background(), name, id, "ann") }).
		ThenStatus(saga.StatusCompensated).
		ThenReason("no signal signed came until").
		ThenData(order{Done: []string{"reserve", "charge nothing", "recall", "refund", "release"}, Ship: "T-1", Mail: "M-1"})
}

func TestTheTimelineCanBeWritten(t *testing.T) {
	c := sagatest.Given(t, fulfilment(t, world{}), order{}).
		With(saga.Options{Retry: saga.Retry{Attempts: 2, Initial: time.Minute, Max: time.Minute}}).
		Fails("reserve", errNo, errNo).
		Run()
	const timeline = `
		+0s   started
		+0s   step_started reserve
		+0s   step_failed reserve, attempt 1: no (again in 1m0s)
		+1m0s attempted reserve (by worker 1)
		+1m0s step_failed reserve, attempt 2: no
		+1m0s compensating: step reserve: no
		+1m0s compensated: step reserve: no`
	c.ThenTimeline(timeline)
	f := &fake{}
	sagatest.Given(f, fulfilment(t, world{}), order{}).Run().ThenTimeline(timeline)
	f.wants(t, "then timeline: want", "+1m0s attempted reserve", "Its timeline:", "step_started mail")
}

func TestWhatIsNotAsExpectedIsReportedWithTheTimeline(t *testing.T) {
	for phrase, check := range map[string]func(*sagatest.Case[order]){
		"status: want completed, got waiting":           func(c *sagatest.Case[order]) { c.ThenStatus(saga.StatusCompleted) },
		"want charge\n  got  reserve, charge, ship":     func(c *sagatest.Case[order]) { c.ThenSteps("charge") },
		"failed for good:\n  want charge\n  got  none":  func(c *sagatest.Case[order]) { c.ThenFailed("charge") },
		"compensated:\n  want charge\n  got  none":      func(c *sagatest.Case[order]) { c.ThenUndone("charge") },
		"awaited signals: want [], got [signed]":        func(c *sagatest.Case[order]) { c.ThenAwaits() },
		"due: want in 1h0m0s, got in 48h0m0s":           func(c *sagatest.Case[order]) { c.ThenDueIn(time.Hour) },
		"want {Done:[] Ship: Mail: Signs:}\n  got  {Do": func(c *sagatest.Case[order]) { c.ThenData(order{}) },
		`reason: want one with "why"`:                   func(c *sagatest.Case[order]) { c.ThenReason("why") },
	} {
		f := &fake{}
		check(sagatest.Given(f, fulfilment(t, world{}), order{}).Run())
		f.wants(t, phrase, "It is waiting, 0s after its start", "+0s  step_succeeded ship")
	}
	f := &fake{}
	sagatest.Given(f, fulfilment(t, world{}), order{}).Run().Signal("refused", nil).ThenStatus(saga.StatusCompleted).ThenSteps()
	f.wants(t, `operate: signal saga fulfilment/1: refused: no signal "refused"`)
	f = &fake{}
	sagatest.Given(f, fulfilment(t, world{}), order{}).With(saga.Options{Timeout: -1}).Run().ThenStatus(saga.StatusCompleted)
	f.wants(t, "given: make a set of sagas", "timeout -1ns")
	f = &fake{}
	sagatest.Given(f, fulfilment(t, world{}), order{}).ThenStatus(saga.StatusCompleted)
	f.wants(t, "there is no instance")
}

func TestAProcessManagerIsTestedByItsEvents(t *testing.T) {
	manager, err := payments()
	if err != nil {
		t.Fatal(err)
	}
	sagatest.GivenEvents(t, manager).ThenNoInstance().ThenCommands().
		When(paid{"7"}).ThenNoInstance().
		When(placed{"7"}).ThenCommands().ThenStatus(saga.StatusWaiting).
		Pass(50*time.Hour).ThenCommands(remind{"7"}, remind{"7"}).ThenTimers(sagatest.Timer{Name: "unpaid", In: 22 * time.Hour}).
		When(placed{"8"}).ThenState(payment{}).
		Of("7").ThenState(payment{Reminders: 2}).ThenCommands(remind{"7"}, remind{"7"})

	sagatest.GivenEvents(t, manager, placed{"7"}).
		Fails("ship", errNo).Crashes("ship").
		When(paid{"7"}).ThenCommands(ship{"7"}).ThenStatus(saga.StatusCompleted)

	sagatest.GivenEvents(t, manager, placed{"7"}).Dispatching(). // the bus has no handlers
									When(paid{"7"}).
									ThenStatus(saga.StatusFailed).
									Then(func(d saga.Detail) {
			if !strings.Contains(d.Error, "command ship: ") {
				t.Errorf("reason: %s", d.Error)
			}
		})
}

func TestWhatAProcessManagerDoesOtherwiseIsReported(t *testing.T) {
	manager, err := payments()
	if err != nil {
		t.Fatal(err)
	}
	type stranger struct{}
	for phrase, check := range map[string]func(*sagatest.Process[payment]){
		"commands:\n  want none\n  got  sagatest_test.remind{Order:7}": func(p *sagatest.Process[payment]) { p.WhenTimer("unpaid").ThenCommands() },
		"timers:\n  want none\n  got  unpaid in 24h0m0s":               func(p *sagatest.Process[payment]) { p.ThenTimers() },
		"state:\n  want {Reminders:3}\n  got  {Reminders:0}":           func(p *sagatest.Process[payment]) { p.ThenState(payment{3}) },
		"status: want failed, got waiting":                             func(p *sagatest.Process[payment]) { p.ThenStatus(saga.StatusFailed) },
		"want no instance, got 7":                                      func(p *sagatest.Process[payment]) { p.ThenNoInstance() },
		"when the timer other fires: it is not set; there are unpaid":  func(p *sagatest.Process[payment]) { p.WhenTimer("other").ThenState(payment{3}) },
		"when sagatest_test.stranger: ":                                func(p *sagatest.Process[payment]) { p.When(stranger{}).ThenState(payment{3}) },
	} {
		f := &fake{}
		check(sagatest.GivenEvents(f, manager, placed{"7"}))
		f.wants(t, phrase, "timer_set unpaid")
	}
	f := &fake{}
	sagatest.GivenEvents(f, manager, stranger{}).ThenStatus(saga.StatusFailed)
	f.wants(t, "given sagatest_test.stranger")
}
