package sagatest

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/saga"
)

// ThenStatus fails the test unless the instance has this status.
func (c *Case[D]) ThenStatus(want saga.Status) *Case[D] {
	c.t.Helper()
	c.checkStatus(want)
	return c
}

// ThenReason fails the test unless the reason of the status contains a phrase.
func (c *Case[D]) ThenReason(phrase string) *Case[D] {
	c.t.Helper()
	if d, ok := c.instance(); ok && !strings.Contains(d.Error, phrase) {
		c.report("reason: want one with %q\n     got %q", phrase, d.Error)
	}
	return c
}

// ThenSteps fails the test unless exactly these steps have succeeded, in this order. Those of a parallel group succeed in
// the order of the table, unless their attempts end otherwise.
func (c *Case[D]) ThenSteps(steps ...string) *Case[D] {
	c.t.Helper()
	c.checkMoments("steps that have succeeded", "step_succeeded", steps)
	return c
}

// ThenFailed fails the test unless exactly these steps have failed for good, in this order.
func (c *Case[D]) ThenFailed(steps ...string) *Case[D] {
	c.t.Helper()
	c.checkMoments("steps that have failed for good", "step_failed", steps)
	return c
}

// ThenUndone fails the test unless exactly these steps were compensated, in this order.
func (c *Case[D]) ThenUndone(steps ...string) *Case[D] {
	c.t.Helper()
	c.checkMoments("steps that were compensated", "compensation_succeeded", steps)
	return c
}

// ThenAwaits fails the test unless the instance awaits exactly these signals.
func (c *Case[D]) ThenAwaits(signals ...string) *Case[D] {
	c.t.Helper()
	if d, ok := c.instance(); ok && !slices.Equal(d.Awaits, signals) {
		c.report("awaited signals: want %v, got %v", signals, d.Awaits)
	}
	return c
}

// ThenDueIn fails the test unless the next thing that comes due by itself, such as the deadline of a signal, does so after
// this time; 0: nothing.
func (c *Case[D]) ThenDueIn(want time.Duration) *Case[D] {
	c.t.Helper()
	if d, ok := c.instance(); ok {
		var got time.Duration
		if !d.Due.IsZero() {
			got = d.Due.Sub(c.trial.Now())
		}
		if got != want {
			c.report("due: want in %v, got in %v (0s: never)", want, got)
		}
	}
	return c
}

// ThenData fails the test unless the instance carries this.
func (c *Case[D]) ThenData(want D) *Case[D] {
	c.t.Helper()
	checkData(&c.kit, "data", want)
	return c
}

// ThenTimeline fails the test unless the timeline is this, line by line. Empty lines and spaces around lines do not count.
func (c *Case[D]) ThenTimeline(want string) *Case[D] {
	c.t.Helper()
	if d, ok := c.instance(); ok {
		if got := Timeline(d); !slices.Equal(trimmed(want), trimmed(got)) {
			c.report("timeline: want\n%s", indented(strings.Join(trimmed(want), "\n")))
		}
	}
	return c
}

// Then calls check with all that is known of the instance, for checks of another kind.
func (c *Case[D]) Then(check func(d saga.Detail)) *Case[D] {
	c.t.Helper()
	if d, ok := c.instance(); ok {
		check(d)
	}
	return c
}

// instance gives the instance; where there is none that is reported.
func (k *kit) instance() (saga.Detail, bool) {
	k.t.Helper()
	if k.broken {
		return saga.Detail{}, false
	}
	d, ok := k.detail()
	if !ok && !k.broken {
		k.broken = true
		k.t.Errorf("then: there is no instance: nothing has begun one")
	}
	return d, ok
}

func (k *kit) checkStatus(want saga.Status) {
	k.t.Helper()
	if d, ok := k.instance(); ok && d.Status != want {
		k.report("status: want %s, got %s", want, d.Status)
	}
}

func (k *kit) checkMoments(what, kind string, want []string) {
	k.t.Helper()
	d, ok := k.instance()
	if !ok {
		return
	}
	var got []string
	for _, m := range d.History {
		if m.What == kind && m.RetryAt.IsZero() {
			got = append(got, m.Step)
		}
	}
	if !slices.Equal(want, got) {
		k.report("%s:\n  want %s\n  got  %s", what, list(want), list(got))
	}
}

func checkData[D any](k *kit, what string, want D) {
	k.t.Helper()
	d, ok := k.instance()
	if !ok {
		return
	}
	var got D
	if err := json.Unmarshal(d.Data, &got); err != nil {
		k.report("%s: cannot be read as %T: %v", what, got, err)
	} else if !reflect.DeepEqual(got, want) {
		k.report("%s:\n  want %+v\n  got  %+v", what, want, got)
	}
}

// report fails the test, and shows the timeline.
func (k *kit) report(format string, args ...any) {
	k.t.Helper()
	k.t.Errorf("then "+format+"%s", append(args, k.story())...)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
