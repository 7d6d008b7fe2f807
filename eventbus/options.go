package eventbus

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/store"
)

// Options are the settings of a Bus. Store is required, unless DropFailed is set.
type Options struct {
	// Store keeps the dead letters, and the marks of deduplication.
	Store *store.Store

	// DropFailed gives up messages that have failed for good: they are reported to OnError, and gone. Defaults to
	// false: they become dead letters.
	DropFailed bool

	// Topic is where events are published. Events of one key keep their order within a topic. Defaults to "events".
	Topic string

	// Topics are those that handlers take from. Defaults to Topic alone.
	Topics []string

	// FromStart makes the bus's groups begin with the oldest events that the broker still has, where it keeps them
	// (broker.Features.Replay). Defaults to false: with what is published after they were declared.
	FromStart bool

	// Source says in each event who has sent it: a URI reference. Defaults to "/" and the group.
	Source string

	// Dispatch says how the handlers of an event are called. It decides over the consumer groups: a broker that keeps
	// groups also keeps what waits for those of the other kind. Defaults to Parallel.
	Dispatch Dispatch

	// StopOnError ends the sequence at a handler that has failed for good: those after it are not called, and for each
	// the message becomes a dead letter of its own, to be retried when the first is mended. Only in Sequential, where
	// handlers know of each other. Defaults to false: the next handler is called.
	StopOnError bool

	// MaxConcurrentHandlers bounds the calls of handlers of this bus that run at the same time. As long as there are no
	// more handlers than that, one place is kept free for each, so that none is held up by others that are slow.
	// Defaults to 10.
	MaxConcurrentHandlers int

	// HandlerTimeout bounds each call: the handler's context ends after so long. It is up to the handler to return
	// then; its key waits for it. Defaults to 30 s; negative: none.
	HandlerTimeout time.Duration

	// Retry says how a failed handler is tried again; Attempts 1: not at all. Defaults to 4 attempts, with pauses from
	// 100 ms doubling to 10 s.
	Retry broker.Retry

	// MaxQueue bounds the messages that are taken from the broker for a handler and not done; the others stay with the
	// broker. Defaults to 1000.
	MaxQueue int

	// RequireHandlers makes it an error (ErrNoHandler) to publish an event that no handler of this bus takes. Defaults
	// to false: others may take it, or nobody.
	RequireHandlers bool

	// PollInterval is how often the bus looks for dead letters that somebody wants retried. Defaults to 1 s.
	PollInterval time.Duration

	// Grace is how long handlers may go on after Run's context has ended, before theirs ends too. Defaults to 10 s.
	Grace time.Duration

	// Hooks watch the calls of handlers, as dispatches of the kind "event", and are told of version skew. Defaults to none.
	Hooks observe.Hooks

	// OnError is told of each failed attempt, and of each fault of the broker or the store; it must be safe for
	// concurrent use. Defaults to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock of events and reports. Defaults to time.Now.
	Now func() time.Time

	// NewID makes the ids of events. Defaults to event.NewID.
	NewID func() event.ID
}

// Dispatch says how the handlers of an event are called.
type Dispatch uint8

const (
	// Parallel calls each by itself, as a consumer group of its own, named after the bus's group and the handler.
	Parallel Dispatch = iota
	// Sequential calls one after the other, in the order in which they were registered, in one consumer group, the bus's.
	// After a crash in the middle of a sequence, all of it is called again.
	Sequential
)

func (o Options) withDefaults(group string) Options {
	if o.Topic == "" {
		o.Topic = "events"
	}
	if o.Topics == nil {
		o.Topics = []string{o.Topic}
	}
	if o.Source == "" {
		o.Source = "/" + group
	}
	if o.MaxConcurrentHandlers == 0 {
		o.MaxConcurrentHandlers = 10
	}
	if o.HandlerTimeout == 0 {
		o.HandlerTimeout = 30 * time.Second
	}
	o.Retry = o.Retry.WithDefaults()
	if o.MaxQueue == 0 {
		o.MaxQueue = 1000
	}
	if o.PollInterval == 0 {
		o.PollInterval = time.Second
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Default().Warn("event bus", slog.Any("error", err)) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = event.NewID
	}
	return o
}

func (o Options) validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(o.Store == nil && !o.DropFailed, "no Store for the messages that fail for good; to lose them, set DropFailed")
	fault(o.Dispatch > Sequential, "dispatch %d: unknown", o.Dispatch)
	fault(o.StopOnError && o.Dispatch == Parallel, "StopOnError: handlers that run in parallel do not know of each other; use Sequential")
	fault(o.MaxConcurrentHandlers < 1, "MaxConcurrentHandlers %d: must be at least 1", o.MaxConcurrentHandlers)
	fault(o.MaxQueue < 1, "MaxQueue %d: must be at least 1", o.MaxQueue)
	fault(o.PollInterval < 0, "PollInterval %v: must not be negative", o.PollInterval)
	fault(o.Grace < 0, "Grace %v: must not be negative", o.Grace)
	_, err := url.Parse(o.Source)
	fault(err != nil || event.ValidateName(o.Source) != nil, "source %q: must be a URI reference", o.Source)
	return errors.Join(append(faults, o.Retry.Validate())...)
}

// HandlerOptions are the settings of one handler; the zero value means those of the bus.
type HandlerOptions struct {
	// Topics are those that the handler takes from, of those of the bus. Defaults to all of them.
	Topics []string

	// Timeout bounds each call. Defaults to the bus's; negative: none.
	Timeout time.Duration

	// Retry says how it is tried again. Defaults to the bus's.
	Retry broker.Retry

	// Concurrency bounds its own calls that run at the same time, within what the bus allows. Only in Parallel.
	// Defaults to the bus's.
	Concurrency int

	// Deduplicate makes the handler skip messages whose id it has handled with success within this time, in whichever
	// process: a mark in the store is written after the success. While one process handles a message, another that got
	// it too waits for the outcome. Between the success and its mark a crash has the message handled again; so this
	// gives effects exactly once only for a handler that can bear that, or whose calls never outlast their timeout and
	// whose process never dies. Needs a Store and a timeout. Defaults to 0: off.
	Deduplicate time.Duration
}

func (o HandlerOptions) withDefaults(bus *Options) HandlerOptions {
	if o.Topics == nil {
		o.Topics = bus.Topics
	}
	if o.Timeout == 0 {
		o.Timeout = bus.HandlerTimeout
	}
	if o.Retry == (broker.Retry{}) {
		o.Retry = bus.Retry
	}
	o.Retry = o.Retry.WithDefaults()
	return o
}

func (o HandlerOptions) validate(bus *Options) error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	for _, topic := range o.Topics {
		fault(!slices.Contains(bus.Topics, topic), "topic %q: the bus takes from %s only", topic, strings.Join(bus.Topics, ", "))
	}
	fault(len(o.Topics) == 0, "no topics to take from")
	fault(o.Concurrency < 0, "concurrency %d: must not be negative", o.Concurrency)
	fault(o.Concurrency > 0 && bus.Dispatch == Sequential, "Concurrency: only in Parallel")
	fault(o.Deduplicate < 0, "Deduplicate %v: must not be negative", o.Deduplicate)
	fault(o.Deduplicate > 0 && bus.Store == nil, "Deduplicate: needs a Store")
	fault(o.Deduplicate > 0 && o.Timeout < 0, "Deduplicate: needs a timeout")
	return errors.Join(append(faults, o.Retry.Validate())...)
}
