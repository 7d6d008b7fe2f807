package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/checkup"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

func TestFeedsAreJudgedByStateAndAge(t *testing.T) {
	const hour = time.Hour
	for name, c := range map[string]struct {
		feed  Feed
		check string
		level checkup.Level
		word  string // in what was found or its cure
	}{
		"live":           {Feed{Kind: "subscription", Name: "mailer", State: "live"}, "subscriptions", checkup.OK, "1, none"},
		"behind":         {Feed{Kind: "subscription", Name: "mailer", State: "catching up", Lag: 7, LagTime: hour}, "subscription mailer", checkup.Warn, "7 events, for 1h0m0s"},
		"a little":       {Feed{Kind: "projection", Name: "orders", State: "stopped", Lag: 7, LagTime: time.Second}, "projections", checkup.OK, "none more"},
		"stopped":        {Feed{Kind: "projection", Name: "orders", State: "stopped", LagTime: hour}, "projection orders", checkup.Warn, "nobody runs it"},
		"paused":         {Feed{Kind: "outbox", Name: "relay", State: "paused"}, "outbox relay", checkup.Warn, "subscriptions resume outbox-relay"},
		"faulted":        {Feed{Kind: "projection", Name: "orders", State: "faulted", Error: "boom"}, "projection orders", checkup.Fail, "faulted: boom"},
		"retrying, long": {Feed{Kind: "subscription", Name: "mailer", State: "retrying", LagTime: hour, Error: "boom"}, "subscription mailer", checkup.Warn, "boom"},
	} {
		findings := judgeFeeds(c.feed.Kind, []Feed{c.feed, {Kind: "another", Name: "x", State: "faulted"}}, 5*time.Minute)
		if f, ok := checkup.Find(findings, c.check); !ok || len(findings) != 1 || f.Level != c.level || !strings.Contains(f.Found+f.Cure, c.word) || (f.Cure == "") != (c.level == checkup.OK) {
			t.Errorf("%s: %+v", name, findings)
		}
	}
	both := judgeFeeds("subscription", []Feed{{Kind: "subscription", Name: "a", State: "live"}, {Kind: "subscription", Name: "b", State: "faulted"}}, time.Minute)
	if len(both) != 2 || checkup.Worst(both) != checkup.Fail {
		t.Errorf("%+v", both)
	}
}

func TestDeadLettersAndSagasThatStandAreFound(t *testing.T) {
	if f := judgeLetters(nil); f.Level != checkup.OK {
		t.Errorf("%+v", f)
	}
	if f := judgeLetters(map[string]int{"b": 2, "a": 1}); f.Level != checkup.Warn || f.Found != "3 wait: 1 of a, 2 of b" {
		t.Errorf("%+v", f)
	}
	for status, want := range map[saga.Status]checkup.Level{
		saga.StatusRunning: checkup.OK, saga.StatusWaiting: checkup.OK, saga.StatusCompensating: checkup.OK, saga.StatusSuspended: checkup.Warn,
		saga.StatusParked: checkup.Warn, saga.StatusFailed: checkup.Warn, saga.StatusCompensationFailed: checkup.Fail,
	} {
		findings := judgeSagas([]SagaCount{{Saga: "transfer", Status: status, Count: 3}})
		if checkup.Worst(findings) != want {
			t.Errorf("%s: %+v, want %s", status, findings, want)
		}
		if f, ok := checkup.Find(findings, "saga transfer"); want != checkup.OK && (!ok || !strings.Contains(f.Cure, "sagas list --saga transfer") && status != saga.StatusSuspended) {
			t.Errorf("%s: %+v", status, findings)
		}
	}
}

func TestWhyAPartCannotBeUsedHasACure(t *testing.T) {
	for err, word := range map[error]string{
		store.ErrUnavailable: "start the server", broker.ErrUnavailable: "start the server", broker.ErrRefused: "password", store.ErrIncompatible: "migrate up",
		store.ErrNotFound: "migrate up", store.ErrCorrupt: "backup", store.ErrClosed: "explain 105", errors.New("plain"): "URL",
	} {
		f := Unopened("store", fmt.Errorf("open: %w", err))
		if f.Level != checkup.Fail || f.Part != "store" || !strings.Contains(f.Cure, word) || !strings.Contains(f.Found, err.Error()) {
			t.Errorf("%v: %+v", err, f)
		}
	}
}
