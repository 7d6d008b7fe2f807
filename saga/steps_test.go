package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

// fulfilment is the saga of most tests: reserve, charge, then ship and notify in parallel, confirm.
func fulfilment(l *ledger) []saga.Step[order] {
	return []saga.Step[order]{
		{Name: "reserve", Action: func(ctx context.Context, o *order) error {
			o.Reserved = "R-" + o.Item
			return l.book(ctx, "reserve")
		}, Compensation: l.does("release")},
		{Name: "charge", Action: func(ctx context.Context, o *order) error {
			o.Charged = 100
			return l.book(ctx, "charge")
		}, Compensation: l.does("refund")},
		{Name: "deliver", Parallel: []saga.Step[order]{
			{Name: "ship", Action: func(ctx context.Context, o *order) error {
				o.Tracking = "T-1"
				return l.book(ctx, "ship")
			}, Compensation: l.does("recall")},
			{Name: "notify", Action: func(ctx context.Context, o *order) error {
				o.Notified = true
				return l.book(ctx, "notify")
			}},
		}},
		{Name: "confirm", Action: l.does("confirm")},
	}
}

// broken is fulfilment with other actions.
func broken(l *ledger, actions map[string]saga.Action[order]) []saga.Step[order] {
	steps := fulfilment(l)
	replace := func(s *saga.Step[order]) {
		if a := actions[s.Name]; a != nil {
			s.Action = a
		}
		if a := actions["undo "+s.Name]; a != nil {
			s.Compensation = a
		}
	}
	for i := range steps {
		replace(&steps[i])
		for j := range steps[i].Parallel {
			replace(&steps[i].Parallel[j])
		}
	}
	return steps
}

func TestASagaRunsItsStepsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		set := newSet(t, log, brief(t), define(t, "fulfilment", 1, fulfilment(l)...))
		run(t, set)
		start(t, set, "fulfilment", "7", order{Item: "cup"})
		d := settled(t, log, "fulfilment", "7", saga.StatusCompleted)
		want := "started step_started:reserve step_succeeded:reserve step_started:charge step_succeeded:charge step_started:ship step_started:notify"
		if !strings.HasPrefix(story(d), want) || !strings.HasSuffix(story(d), "step_started:confirm step_succeeded:confirm completed") {
			t.Errorf("history: %s", story(d))
		}
		if data := string(d.Data); data != `{"charged":100,"item":"cup","notified":true,"path":["confirm"],"reserved":"R-cup","tracking":"T-1"}` {
			t.Errorf("data: %s", data)
		}
		indexed(t, log, saga.Filter{Saga: "fulfilment", Status: saga.StatusCompleted}, 1)
		indexed(t, log, saga.Filter{Saga: "fulfilment", Status: saga.StatusRunning}, 0)
	})
}

func TestAFailureUndoesWhatIsDoneInReverse(t *testing.T) {
	for name, c := range map[string]struct {
		actions map[string]saga.Action[order]
		effects string
		reason  string
	}{
		"the first step":     {map[string]saga.Action[order]{"reserve": fails}, "", "step reserve: the supplier"},
		"the second":         {map[string]saga.Action[order]{"charge": fails}, "reserve release", "step charge: "},
		"one of a group":     {map[string]saga.Action[order]{"notify": fails}, "reserve charge ship recall refund release", "step notify: "},
		"the other of it":    {map[string]saga.Action[order]{"ship": fails}, "reserve charge notify refund release", "step ship: "},
		"the last":           {map[string]saga.Action[order]{"confirm": fails}, "reserve charge * recall refund release", "step confirm: "},
		"one that panics":    {map[string]saga.Action[order]{"charge": func(context.Context, *order) error { panic("oh") }}, "reserve refund release", "panic: oh"},
		"one not to retry":   {map[string]saga.Action[order]{"charge": func(context.Context, *order) error { return saga.Permanent(errSupplier) }}, "reserve release", "the supplier"},
		"an unknown outcome": {map[string]saga.Action[order]{"charge": func(context.Context, *order) error { return saga.Unknown(errSupplier) }}, "reserve refund release", "the supplier"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, log := newLedger(), memory(t)
				set := newSet(t, log, brief(t), define(t, "fulfilment", 1, broken(l, c.actions)...))
				run(t, set)
				start(t, set, "fulfilment", "7", order{Item: "cup"})
				d := settled(t, log, "fulfilment", "7", saga.StatusCompensated)
				got := l.list()
				for _, pair := range []string{"ship notify", "notify ship"} {
					if strings.Contains(c.effects, "*") {
						got = strings.Replace(got, pair, "*", 1)
					}
				}
				if got != c.effects {
					t.Errorf("effects: %s; want %s", l.list(), c.effects)
				}
				if !strings.Contains(d.Error, c.reason) {
					t.Errorf("reason: %s", d.Error)
				}
			})
		})
	}
}

func TestAFailedStepIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		var keys []event.ID
		var attempts []int
		flaky := func(ctx context.Context, _ *order) error {
			info, _ := saga.InfoFrom(ctx)
			keys, attempts = append(keys, info.Key), append(attempts, info.Attempt)
			if len(keys) < 3 {
				return errSupplier
			}
			return l.book(ctx, "charge")
		}
		set := newSet(t, log, brief(t), define(t, "fulfilment", 1, broken(l, map[string]saga.Action[order]{"charge": flaky})...))
		run(t, set)
		start(t, set, "fulfilment", "7", order{})
		settled(t, log, "fulfilment", "7", saga.StatusCompleted)
		if len(keys) != 3 || keys[0] != keys[1] || keys[1] != keys[2] || attempts[2] != 3 {
			t.Errorf("keys %v in attempts %v", keys, attempts)
		}
	})
}

func TestAnAttemptThatTakesTooLongMayHaveDoneItsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		late := func(ctx context.Context, _ *order) error {
			err := l.book(ctx, "charge") // the work is done, but the answer does not come
			time.Sleep(time.Hour)        //nolint:forbidigo // in a bubble
			return err
		}
		steps := broken(l, map[string]saga.Action[order]{"charge": late})
		steps[1].Timeout, steps[1].Retry = time.Second, saga.Retry{Attempts: 2}
		set := newSet(t, log, slow(t), define(t, "fulfilment", 1, steps...))
		run(t, set)
		start(t, set, "fulfilment", "7", order{})
		d := settled(t, log, "fulfilment", "7", saga.StatusCompensated)
		if l.list() != "reserve charge refund release" || l.calls["charge"] != 2 || !strings.Contains(d.Error, "did not end in time") {
			t.Errorf("effects: %s, %d calls; %s", l.list(), l.calls["charge"], d.Error)
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // in a bubble, until the last answer has come
	})
}

func TestACompensationThatFailsForGoodIsVisibleAndGoesOnWhenRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		down := true
		set := newSet(t, log, brief(t), define(t, "fulfilment", 1, broken(l, map[string]saga.Action[order]{
			"confirm": fails,
			"undo charge": func(ctx context.Context, _ *order) error {
				if down {
					return errSupplier
				}
				return l.book(ctx, "refund")
			},
		})...))
		run(t, set)
		start(t, set, "fulfilment", "7", order{})
		d := settled(t, log, "fulfilment", "7", saga.StatusCompensationFailed)
		if l.count("recall") != 1 || l.count("release") != 0 || !strings.Contains(d.Error, "compensation of step charge") {
			t.Errorf("effects: %s; %s", l.list(), d.Error)
		}
		indexed(t, log, saga.Filter{Saga: "fulfilment", Status: saga.StatusCompensationFailed}, 1)
		control := set.Control()
		if err := control.Compensate(t.Context(), "fulfilment", "7", "", ""); !errors.Is(err, saga.ErrRefused) {
			t.Errorf("compensate twice: %v", err)
		}
		down = false
		if err := control.Retry(t.Context(), "fulfilment", "7", "ann"); err != nil {
			t.Fatal(err)
		}
		settled(t, log, "fulfilment", "7", saga.StatusCompensated)
		if l.count("refund") != 1 || l.count("release") != 1 || l.count("recall") != 1 {
			t.Errorf("effects: %s", l.list())
		}
	})
}

func TestConditionsJumpsAndFailurePathsLeadTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		loops := 0
		set := newSet(t, log, brief(t), define(t, "way", 1,
			saga.Step[order]{Name: "a", Action: l.does("a"), Next: []saga.Jump[order]{{To: "c", When: func(o order) bool { return o.Item == "skip" }}}},
			saga.Step[order]{Name: "b", Action: l.does("b")},
			saga.Step[order]{Name: "c", Action: l.does("c"), When: func(o order) bool { return o.Item != "no c" }},
			saga.Step[order]{Name: "d", Action: func(ctx context.Context, o *order) error {
				loops++
				return l.does("d")(ctx, o)
			}, Next: []saga.Jump[order]{{To: "d", When: func(o order) bool { return len(o.Path) < 6 }}}},
			saga.Step[order]{Name: "e", Action: fails, OnFailure: "g"},
			saga.Step[order]{Name: "f", Action: l.does("f")},
			saga.Step[order]{Name: "g", Action: l.does("g"), Next: []saga.Jump[order]{{To: saga.End}}},
			saga.Step[order]{Name: "h", Action: l.does("h")},
		))
		run(t, set)
		for id, want := range map[string]string{
			"skip": `["a","c","d","d","d","d","g"]`,
			"no c": `["a","b","d","d","d","d","g"]`,
			"cup":  `["a","b","c","d","d","d","g"]`,
		} {
			start(t, set, "way", id, order{Item: id})
			if d := settled(t, log, "way", id, saga.StatusCompleted); !strings.Contains(string(d.Data), want) {
				t.Errorf("%s: %s", id, d.Data)
			}
		}
		if l.count("d") != loops || loops != 11 {
			t.Errorf("d took effect %d times in %d calls: each visit has a key of its own", l.count("d"), loops)
		}
	})
}

func TestASignalIsAwaitedUntilItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type approval struct{ By string }
		l, log := newLedger(), memory(t)
		set := newSet(t, log, slow(t), define(t, "approval", 1,
			saga.Step[order]{Name: "ask", Action: l.does("ask"), Compensation: l.does("forget")},
			saga.Step[order]{Name: "approve", Await: saga.Await[order]{
				Signal: "approved", Within: 48 * time.Hour,
				Receive: saga.Receiver(func(o *order, a approval) error {
					if a.By == "" {
						return errors.New("nobody has signed")
					}
					o.Item = a.By
					return nil
				}),
			}},
			saga.Step[order]{Name: "act", Action: l.does("act")},
		))
		run(t, set)
		control := set.Control()
		for _, id := range []string{"yes", "late", "unsigned"} {
			start(t, set, "approval", id, order{})
			settled(t, log, "approval", id, saga.StatusWaiting)
		}
		if err := control.Signal(t.Context(), "approval", "yes", "approve", nil, event.ID{}); !errors.Is(err, saga.ErrRefused) || !strings.Contains(err.Error(), "approved") {
			t.Errorf("an unknown signal: %v", err)
		}
		for range 2 { // the same one twice
			if err := control.Signal(t.Context(), "approval", "yes", "approved", approval{"ann"}, event.ID{1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := control.Signal(t.Context(), "approval", "unsigned", "approved", approval{}, event.ID{}); err != nil {
			t.Fatal(err)
		}
		if d := settled(t, log, "approval", "yes", saga.StatusCompleted); !strings.Contains(string(d.Data), `"item":"ann"`) {
			t.Errorf("data: %s", d.Data)
		}
		settled(t, log, "approval", "unsigned", saga.StatusCompensated)
		if err := control.Signal(t.Context(), "approval", "yes", "approved", nil, event.ID{}); !errors.Is(err, saga.ErrEnded) {
			t.Errorf("a signal to one that has ended: %v", err)
		}
		if err := control.Signal(t.Context(), "approval", "nobody", "approved", nil, event.ID{}); !errors.Is(err, saga.ErrUnknown) {
			t.Errorf("a signal to nobody: %v", err)
		}
		time.Sleep(47 * time.Hour) //nolint:forbidigo // in a bubble
		if d := detail(t, log, "approval", "late"); d.Status != saga.StatusWaiting {
			t.Errorf("after 47 h it is %s", d.Status)
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // in a bubble
		if d := detail(t, log, "approval", "late"); d.Status != saga.StatusCompensated || !strings.Contains(d.Error, "no signal approved came") {
			t.Errorf("after 49 h it is %s: %s", d.Status, d.Error)
		}
		if l.count("forget") != 2 {
			t.Errorf("effects: %s", l.list())
		}
	})
}

func TestADeadlineIsKeptWhateverElseHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		set := newSet(t, log, slow(t), define(t, "two", 1,
			saga.Step[order]{Name: "first", Await: saga.Await[order]{Signal: "a", Within: 10 * time.Hour}},
			saga.Step[order]{Name: "second", Await: saga.Await[order]{Signal: "b"}},
		))
		run(t, set)
		start(t, set, "two", "7", order{})
		settled(t, log, "two", "7", saga.StatusWaiting)
		control := set.Control()
		err := errors.Join(
			control.Signal(t.Context(), "two", "7", "b", nil, event.ID{}), // too early: it is kept
			control.Suspend(t.Context(), "two", "7", "ann", "audit"),
		)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // in a bubble
		if d := detail(t, log, "two", "7"); d.Status != saga.StatusSuspended || d.Error != "suspended by ann: audit" {
			t.Errorf("it is %s: %s", d.Status, d.Error)
		}
		if err := control.Resume(t.Context(), "two", "7", "ann"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Hour) //nolint:forbidigo // in a bubble
		if d := detail(t, log, "two", "7"); d.Status != saga.StatusWaiting {
			t.Errorf("after 9 h it is %s", d.Status)
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // in a bubble
		if d := detail(t, log, "two", "7"); d.Status != saga.StatusCompensated {
			t.Errorf("after 11 h it is %s: %s", d.Status, story(d))
		}
	})
}

func TestOperatorsCancelAndCompensate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		set := newSet(t, log, slow(t), define(t, "wait", 1,
			saga.Step[order]{Name: "a", Action: l.does("a"), Compensation: l.does("undo a")},
			saga.Step[order]{Name: "b", Await: saga.Await[order]{Signal: "go"}},
		))
		run(t, set)
		control := set.Control()
		for _, id := range []string{"cancelled", "compensated"} {
			start(t, set, "wait", id, order{})
			settled(t, log, "wait", id, saga.StatusWaiting)
		}
		err := errors.Join(
			control.Cancel(t.Context(), "wait", "cancelled", "ann", "a mistake"),
			control.Compensate(t.Context(), "wait", "compensated", "ann", ""),
		)
		if err != nil {
			t.Fatal(err)
		}
		settled(t, log, "wait", "compensated", saga.StatusCompensated)
		settled(t, log, "wait", "cancelled", saga.StatusCancelled)
		if l.list() != "a a undo a" {
			t.Errorf("effects: %s", l.list())
		}
		if err := control.Retry(t.Context(), "wait", "cancelled", ""); !errors.Is(err, saga.ErrEnded) {
			t.Errorf("retry what was cancelled: %v", err)
		}
		time.Sleep(25 * time.Hour) //nolint:forbidigo // in a bubble
		if left := indexOf(t, log, "wait"); len(left) > 0 {
			t.Errorf("after the retention the index has %v", left)
		}
		if err := set.Start(t.Context(), "wait", "cancelled", order{}, saga.StartOptions{}); !errors.Is(err, saga.ErrExists) {
			t.Errorf("an id that was used: %v", err)
		}
	})
}

func TestAnInstanceKeepsItsVersionAndIsParkedWithoutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLedger(), memory(t)
		old := define(t, "versions", 1,
			saga.Step[order]{Name: "wait", Await: saga.Await[order]{Signal: "go"}}, saga.Step[order]{Name: "old", Action: l.does("old")})
		changed := define(t, "versions", 2, saga.Step[order]{Name: "new", Action: l.does("new")})
		first := newSet(t, log, brief(t), old)
		stop := run(t, first)
		start(t, first, "versions", "1", order{})
		settled(t, log, "versions", "1", saga.StatusWaiting)
		stop()
		second := newSet(t, log, brief(t), changed)
		stop = run(t, second)
		start(t, second, "versions", "2", order{})
		settled(t, log, "versions", "2", saga.StatusCompleted)
		if err := second.Control().Signal(t.Context(), "versions", "1", "go", nil, event.ID{}); err != nil {
			t.Fatal(err)
		}
		if d := settled(t, log, "versions", "1", saga.StatusParked); !strings.Contains(d.Error, "no version 1 of saga versions; it has [2]") {
			t.Errorf("parked: %s", d.Error)
		}
		indexed(t, log, saga.Filter{Saga: "versions", Status: saga.StatusParked}, 1)
		stop()
		run(t, newSet(t, log, brief(t), old, changed))
		settled(t, log, "versions", "1", saga.StatusCompleted)
		if l.list() != "new old" {
			t.Errorf("effects: %s", l.list())
		}
	})
}

func TestFaultyDefinitionsAreRefusedWithNames(t *testing.T) {
	do := func(context.Context, *order) error { return nil }
	always := []saga.Jump[order]{{To: "a"}}
	for phrase, steps := range map[string][]saga.Step[order]{
		`there are no steps`:                         {},
		`step "a": there are two of that name`:       {{Name: "a", Action: do}, {Name: "a", Action: do}},
		`step "b": is in a cycle without an exit`:    {{Name: "a", Action: do}, {Name: "b", Action: do, Next: always}},
		`step "a": has a compensation, but no`:       {{Name: "a", Await: saga.Await[order]{Signal: "s"}, Compensation: do}},
		`step "a": goes on with "c", which is no`:    {{Name: "a", Action: do, Next: []saga.Jump[order]{{To: "c"}}}},
		`step "a": needs exactly one of`:             {{Name: "a"}},
		`step "b": is one of a parallel group`:       {{Name: "a", Parallel: []saga.Step[order]{{Name: "b", Action: do, OnFailure: "a"}}}},
		`step "a": goes on with "z" when it fails`:   {{Name: "a", Action: do, OnFailure: "z"}},
		`step "": name: must not be empty`:           {{Action: do}},
		`step "a": awaits a signal without a name`:   {{Name: "a", Action: do, Await: saga.Await[order]{Within: time.Hour}}},
		`step "a": the timeout must not be negative`: {{Name: "a", Action: do, Timeout: -1}},
	} {
		if _, err := saga.Define("faulty", 1, steps...); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), phrase) {
			t.Errorf("want %q, got %v", phrase, err)
		}
	}
	if _, err := saga.Define[chan int]("a-b", 0); err == nil || !strings.Contains(err.Error(), "chan int cannot be encoded") || !strings.Contains(err.Error(), `must not contain "-"`) {
		t.Errorf("got %v", err)
	}
	log := memory(t)
	d := define(t, "known", 1, saga.Step[order]{Name: "a", Action: do})
	if _, err := saga.NewSet(log, saga.Options{}, d, d); err == nil || !strings.Contains(err.Error(), "saga known: there are two of version 1") {
		t.Errorf("got %v", err)
	}
	set := newSet(t, log, saga.Options{}, d)
	for want, err := range map[error]error{
		saga.ErrUnknown:  set.Start(t.Context(), "other", "1", order{}, saga.StartOptions{}),
		store.ErrInvalid: set.Start(t.Context(), "known", "1", make(chan int), saga.StartOptions{}),
	} {
		if !errors.Is(err, want) {
			t.Errorf("want %v, got %v", want, err)
		}
	}
	start(t, set, "known", "1", order{Item: "x"})
	start(t, set, "known", "1", order{Item: "x"}) // once more is fine
	if err := set.Start(t.Context(), "known", "1", order{Item: "y"}, saga.StartOptions{}); !errors.Is(err, saga.ErrExists) {
		t.Errorf("other data: %v", err)
	}
}
