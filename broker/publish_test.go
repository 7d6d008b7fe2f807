package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func TestAMalformedOrOversizeMessageMakesPublishSendNone(t *testing.T) {
	f := newFaulty()
	f.features.MaxMessageBytes = 1000
	b := broker.New(f, broker.Options{})
	if got := b.Limits().MaxMessageBytes; got != 1000 {
		t.Errorf("the limit is %d bytes, want the broker's own", got)
	}
	for name, c := range map[string]struct {
		spoil func(m *broker.Message)
		want  error
	}{
		"no id":                      {func(m *broker.Message) { m.ID = "" }, broker.ErrInvalid},
		"a control character":        {func(m *broker.Message) { m.ID = "a\nb" }, broker.ErrInvalid},
		"a broken key":               {func(m *broker.Message) { m.Key = "\xff" }, broker.ErrInvalid},
		"a long key":                 {func(m *broker.Message) { m.Key = strings.Repeat("k", 513) }, broker.ErrTooLarge},
		"no topic":                   {func(m *broker.Message) { m.Topic = "" }, broker.ErrInvalid},
		"a topic with a space":       {func(m *broker.Message) { m.Topic = "a b" }, broker.ErrInvalid},
		"a topic with a wildcard":    {func(m *broker.Message) { m.Topic = "a.*" }, broker.ErrInvalid},
		"a topic with empty parts":   {func(m *broker.Message) { m.Topic = "a..b" }, broker.ErrInvalid},
		"a topic that ends in a dot": {func(m *broker.Message) { m.Topic = "a." }, broker.ErrInvalid},
		"a long topic":               {func(m *broker.Message) { m.Topic = strings.Repeat("t", 201) }, broker.ErrTooLarge},
		"an upper-case header":       {func(m *broker.Message) { m.Headers = map[string]string{"A": ""} }, broker.ErrInvalid},
		"a header of two lines":      {func(m *broker.Message) { m.Headers = map[string]string{"a": "x\r\ny"} }, broker.ErrInvalid},
		"too many headers": {func(m *broker.Message) {
			m.Headers = map[string]string{}
			for i := range 65 {
				m.Headers[fmt.Sprint(i)] = ""
			}
		}, broker.ErrTooLarge},
		"a large body": {func(m *broker.Message) { m.Body = make([]byte, 1000) }, broker.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			bad := message("bad")
			c.spoil(&bad)
			if err := b.Publish(t.Context(), message("good"), bad); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err := b.Check(bad); !errors.Is(err, c.want) {
				t.Errorf("Check: got %v, want %v", err, c.want)
			}
		})
	}
	if err := b.Publish(t.Context(), make([]broker.Message, 10_001)...); !errors.Is(err, broker.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge for the number of messages", err)
	}
	if f.sent != 0 {
		t.Errorf("%d messages were sent", f.sent)
	}
	must(t, b.Publish(t.Context()))
	must(t, b.Publish(t.Context(), message("good")))
}

func TestAPublishErrorSaysWhichMessagesAreNotConfirmedAndWhy(t *testing.T) {
	f := newFaulty()
	b := broker.New(f, broker.Options{})
	f.publish = func([]broker.Message) []error {
		return []error{nil, fmt.Errorf("%w: no permission", broker.ErrRefused), fmt.Errorf("%w: gone", broker.ErrUnavailable)}
	}
	err := b.Publish(t.Context(), message("1"), message("2"), message("3"))
	var failed *broker.PublishError
	if !errors.As(err, &failed) || failed.Total != 3 || len(failed.Failed) != 2 || failed.Failed[0].Index != 1 || failed.Failed[1].ID != "3" {
		t.Fatalf("got %#v", err)
	}
	if !errors.Is(err, broker.ErrRefused) || !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrFull) {
		t.Errorf("%v is not of its reasons' kinds", err)
	}
	if want := "publish: 2 of 3 messages are not confirmed: message 2 to topic orders: refused by the broker: no permission"; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestPublishStampsTheTimeAndLeavesItsInputAlone(t *testing.T) {
	f := newFaulty()
	now := time.Date(2024, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	b := broker.New(f, broker.Options{Now: func() time.Time { return now }})
	var got []broker.Message
	f.publish = func(messages []broker.Message) []error { got = messages; return nil }
	given := message("2")
	given.Time = now.Add(-time.Hour)
	messages := []broker.Message{message("1"), given}
	must(t, b.Publish(t.Context(), messages...))
	if want := now.Truncate(time.Millisecond); !got[0].Time.Equal(want) || !got[1].Time.Equal(want.Add(-time.Hour)) {
		t.Errorf("times %v and %v", got[0].Time, got[1].Time)
	}
	if !messages[0].Time.IsZero() {
		t.Error("the input was changed")
	}
}

func TestWhatABrokerCannotDoIsRefusedBeforeItIsAsked(t *testing.T) {
	f := newFaulty()
	f.features = broker.Features{}
	type plain struct{ broker.Backend } // no Gauge
	b := broker.New(plain{f}, broker.Options{})
	early := orders()
	early.FromStart = true
	if err := b.Declare(t.Context(), early); !errors.Is(err, broker.ErrUnsupported) {
		t.Errorf("FromStart: got %v, want ErrUnsupported", err)
	}
	if _, err := b.Backlog(t.Context(), orders()); !errors.Is(err, broker.ErrUnsupported) {
		t.Errorf("Backlog: got %v, want ErrUnsupported", err)
	}
	handler := func(context.Context, broker.Delivery) error { return nil }
	keep := func(context.Context, broker.Delivery, error) error { return nil }
	if _, err := broker.NewConsumer(b, orders(), handler, broker.ConsumerOptions{Redelivery: broker.ByBroker, DeadLetter: keep}); !errors.Is(err, broker.ErrUnsupported) {
		t.Errorf("ByBroker: got %v, want ErrUnsupported", err)
	}
}

func TestFaultsOfAConsumerAreReportedTogether(t *testing.T) {
	b := broker.New(newFaulty(), broker.Options{})
	_, err := broker.NewConsumer(b, broker.Group{Name: "a/b"}, nil, broker.ConsumerOptions{
		Concurrency: -1, Prefetch: -2, Retry: broker.Retry{Attempts: -1}, Grace: -1, MaxDeliveries: -1, Redelivery: 7,
	})
	for _, want := range []string{`group "a/b"`, "handler is nil", "no DeadLetter", "concurrency", "prefetch", "attempts", "grace", "deliveries", "redelivery"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q too", err, want)
		}
	}
	for _, g := range []broker.Group{{Name: "g"}, {Name: "g", Topics: []string{"a", "a"}}, {Name: "g", Topics: []string{"*"}}} {
		if err := b.CheckGroup(g); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("group %v: got %v, want ErrInvalid", g, err)
		}
	}
}

func TestPausesDoubleUpToTheGreatestAndVaryByAFifth(t *testing.T) {
	r := broker.Retry{Initial: 100 * time.Millisecond, Max: time.Second}.WithDefaults()
	for failures, ms := range map[int]int{1: 100, 2: 200, 3: 400, 4: 800, 5: 1000, 60: 1000, 1000: 1000} {
		want := time.Duration(ms) * time.Millisecond
		for range 100 {
			if got := r.Pause(failures); got < want*8/10 || got > want*12/10 {
				t.Fatalf("after %d failures the pause is %v, want about %v", failures, got, want)
			}
		}
	}
}
