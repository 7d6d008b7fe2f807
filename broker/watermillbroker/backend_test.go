package watermillbroker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
	"lexigram.dev/events/broker/watermillbroker"
)

func goChannel(t *testing.T, config gochannel.Config) *watermillbroker.Backend {
	t.Helper()
	channel := gochannel.NewGoChannel(config, nil)
	b, err := watermillbroker.New(watermillbroker.Options{
		Publisher:  channel,
		Subscriber: func(context.Context, string) (message.Subscriber, error) { return channel, nil },
		Name:       "gochannel", Version: "1", Location: "this process",
	})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

// TestGoChannelKeepsWhatItCan: Watermill's broker in memory has no groups and no order.
func TestGoChannelKeepsWhatItCan(t *testing.T) {
	const (
		noGroups = "every subscriber gets every message, and a new one all that there ever were"
		noOrder  = "each message goes its own way"
	)
	brokertest.Run(t, brokertest.Harness{
		New: func(t *testing.T) func(t *testing.T) broker.Backend {
			b := goChannel(t, gochannel.Config{Persistent: true})
			return func(*testing.T) broker.Backend { return b }
		},
		Except: map[string]string{
			"gives each message to one member of each group":                                    noGroups,
			"begins with what is published after a group was declared":                          noGroups,
			"delivers nothing again that was acknowledged":                                      noGroups,
			"gives a message up after the last attempt, to the dead letters, and goes on":       noGroups,
			"finishes what is being handled when a member stops, and leaves the rest to others": noGroups,
			"loses and mixes up nothing under load while members come and go":                   noGroups,
			"keeps messages for a declared group that has no member":                            noOrder,
			"tries a failed message again after growing pauses and counts the attempts":         noOrder,
			"does not let go of a message before its dead letter is kept":                       noOrder,
			"lets a key wait behind its failed message and other keys go on":                    noOrder,
		},
	})
}

func TestWhatOptionsDoNotSayIsNotPromised(t *testing.T) {
	if _, err := watermillbroker.New(watermillbroker.Options{}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	b, err := watermillbroker.New(watermillbroker.Options{
		Publisher:  failing{},
		Subscriber: func(context.Context, string) (message.Subscriber, error) { return nil, errBroken },
		Features:   broker.Features{Ordered: true, Durable: true, DeliveryCount: true, DelayedRedelivery: true, Replay: true, MaxMessageBytes: 7},
	})
	must(t, err)
	if f := b.Features(); f != (broker.Features{Ordered: true, Durable: true, MaxMessageBytes: 7}) {
		t.Errorf("got %+v", f)
	}
}

var errBroken, errForbidden = errors.New("broken pipe"), errors.New("403")

// failing is a Publisher that fails as it is told to by the topic.
type failing struct{}

func (failing) Publish(topic string, messages ...*message.Message) error {
	switch topic {
	case "broken":
		return errBroken
	case "forbidden":
		return errForbidden
	case "hanging":
		<-messages[0].Context().Done()
		return messages[0].Context().Err()
	}
	return nil
}

func (failing) Close() error { return nil }

func TestErrorsOfTheAdapterAreOfTheKindsThatItsUserSays(t *testing.T) {
	backend, err := watermillbroker.New(watermillbroker.Options{
		Publisher:  failing{},
		Subscriber: func(context.Context, string) (message.Subscriber, error) { return nil, errForbidden },
		Translate: func(err error) error {
			if errors.Is(err, errForbidden) {
				return fmt.Errorf("%w: %w", broker.ErrRefused, err)
			}
			return nil
		},
		Check: func(context.Context) error { return errBroken },
	})
	must(t, err)
	b := broker.New(backend, broker.Options{})
	defer func() { must(t, b.Close()) }()
	err = b.Publish(t.Context(), broker.Message{ID: "1", Topic: "fine"}, broker.Message{ID: "2", Topic: "broken"}, broker.Message{ID: "3", Topic: "fine"})
	var failed *broker.PublishError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 || failed.Failed[0].ID != "2" || !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if err := b.Publish(t.Context(), broker.Message{ID: "1", Topic: "forbidden"}); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
	if err := b.Declare(t.Context(), broker.Group{Name: "g", Topics: []string{"t"}}); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
	if _, err := b.Describe(t.Context()); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := b.Publish(ctx, broker.Message{ID: "1", Topic: "hanging"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}
