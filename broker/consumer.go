package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Handler handles one message. An error has it called again, see ConsumerOptions.Retry; a panic is an error too. Its
// context ends with the timeout, and when the consumer's grace is over.
type Handler func(ctx context.Context, d Delivery) error

// DeadLetterFunc keeps a message that has failed for good. It must return nil only once the message is safe; it is called
// again until it does. See DeadLetterTo.
type DeadLetterFunc func(ctx context.Context, d Delivery, cause error) error

// Consumer is a member of a group: it takes messages and has them handled. It is safe for concurrent use; each Run is a
// member of its own.
type Consumer struct {
	broker  *Broker
	group   Group
	handler Handler
	o       ConsumerOptions
}

// ConsumerOptions are the settings of a Consumer. DeadLetter is required.
type ConsumerOptions struct {
	// DeadLetter keeps the messages that have failed for good; they are acknowledged after it has succeeded. Required:
	// nothing is dropped silently.
	DeadLetter DeadLetterFunc

	// Concurrency is how many messages, of different keys, are handled at the same time. Defaults to 10.
	Concurrency int

	// Prefetch bounds the messages that are taken and not yet acknowledged: the consumer's memory, and what is
	// delivered again after a crash. Defaults to 256; at least Concurrency.
	Prefetch int

	// Timeout bounds each attempt: the handler's context ends after so long. It is up to the handler to return then; its
	// key waits for it. Defaults to 30 s; negative: none.
	Timeout time.Duration

	// Retry says how a failed message is tried again.
	Retry Retry

	// Redelivery says where a failed message waits for its next attempt. Defaults to InPlace.
	Redelivery Redelivery

	// MaxDeliveries bounds how often a message is given out by the broker; one that exceeds it seems to kill its
	// consumers, and becomes a dead letter without another attempt (ErrDeliveries). Only where the broker counts
	// deliveries. Deliveries that a stopping consumer gives back may count. Defaults to 20.
	MaxDeliveries int

	// Grace is how long handlers may go on after Run's context has ended, before theirs ends too. Defaults to 10 s.
	Grace time.Duration

	// OnError is told of each failed attempt, and of each fault of the broker; it must be safe for concurrent use.
	// Defaults to a warning in slog.Default().
	OnError func(err error)
}

// Redelivery says where a failed message waits for its next attempt.
type Redelivery uint8

const (
	// InPlace is here: the later messages of its key wait behind it, so the order is kept. Works on every broker.
	InPlace Redelivery = iota
	// ByBroker means that it goes back to the broker, which delivers it again after the pause, to whichever member, and counts. The
	// later messages of its key overtake it. For long pauses. Needs Features.DelayedRedelivery and DeliveryCount.
	ByBroker
)

func (o ConsumerOptions) withDefaults() ConsumerOptions {
	if o.Concurrency == 0 {
		o.Concurrency = 10
	}
	if o.Prefetch == 0 {
		o.Prefetch = max(256, o.Concurrency)
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	o.Retry = o.Retry.WithDefaults()
	if o.MaxDeliveries == 0 {
		o.MaxDeliveries = 20
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Default().Warn("broker", slog.Any("error", err)) }
	}
	return o
}

func (o ConsumerOptions) validate(f Features) error {
	var faults []error
	fault := func(bad bool, err error) {
		if bad {
			faults = append(faults, err)
		}
	}
	fault(o.DeadLetter == nil, invalid("no DeadLetter function: say what becomes of messages that fail for good"))
	fault(o.Concurrency < 1, invalid("concurrency %d: must be at least 1", o.Concurrency))
	fault(o.Prefetch < o.Concurrency, invalid("prefetch %d: must be at least the concurrency, %d", o.Prefetch, o.Concurrency))
	if err := o.Retry.Validate(); err != nil {
		faults = append(faults, err)
	}
	fault(o.MaxDeliveries < 1, invalid("deliveries %d: must be at least 1", o.MaxDeliveries))
	fault(o.Grace < 0, invalid("grace %v: must not be negative", o.Grace))
	fault(o.Redelivery > ByBroker, invalid("redelivery %d: unknown", o.Redelivery))
	fault(o.Redelivery == ByBroker && !(f.DelayedRedelivery && f.DeliveryCount),
		fmt.Errorf("redelivery by the broker: %w", ErrUnsupported))
	return errors.Join(faults...)
}

// NewConsumer makes a member of a group. It does no I/O.
func NewConsumer(b *Broker, g Group, h Handler, o ConsumerOptions) (*Consumer, error) {
	o = o.withDefaults()
	err := errors.Join(b.CheckGroup(g), o.validate(b.Features()))
	if h == nil {
		err = errors.Join(err, invalid("the handler is nil"))
	}
	if err != nil {
		return nil, fmt.Errorf("consumer of group %s: %w", abbreviate(g.Name), err)
	}
	return &Consumer{broker: b, group: g, handler: h, o: o}, nil
}

// Run takes and handles messages until ctx ends. Then it takes no more, gives back what nobody has begun with, lets
// handlers finish within the grace, and returns nil. A broker that becomes unavailable is waited for. It returns an error
// when the broker was closed, or refuses.
func (c *Consumer) Run(ctx context.Context) error { return newRun(c).run(ctx) }
