package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// Relay publishes the events of the log. It is safe for concurrent use. Relays of the same name, here or in other
// processes, share the partitions: each has one owner, and who has lost a partition cannot move its checkpoint.
type Relay struct {
	name     string
	feed     *subscription.Subscription
	courier  courier
	letters  *deadletter.Letters
	o        Options
	weather  weather
	stopping atomic.Pointer[chan struct{}] // closed when Run is told to stop
}

// NewRelay makes a relay. It does no I/O. The name keeps its place in the log: as a subscription it is "outbox-" and the
// name, as a source of dead letters "outbox/" and the name.
func NewRelay(s *store.Store, name string, b *broker.Broker, letters *deadletter.Letters, o Options) (*Relay, error) {
	o = o.withDefaults(name)
	faults := []error{validateName(name), o.validate()}
	if s == nil || b == nil || letters == nil {
		faults = append(faults, fmt.Errorf("%w: a store, a broker and dead letters are needed", store.ErrInvalid))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("outbox relay %q: %w", name, err)
	}
	r := &Relay{name: name, courier: courier{broker: b, timeout: o.PublishTimeout}, letters: letters, o: o}
	var err error
	r.feed, err = subscription.New(s, r.Name(), processor{r}, subscription.Options{
		Filter: o.Filter, Start: o.Start, Partitions: o.Partitions, BatchEvents: o.BatchEvents, PollInterval: o.PollInterval, Lease: o.Lease,
		Owner: o.Owner, DeadLetters: letters, Source: r.Source(), OnError: o.OnError, Now: o.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("outbox relay %q: %w", name, err)
	}
	return r, nil
}

// Name is the subscription's name.
func (r *Relay) Name() string { return namePrefix + r.name }

// Source names the relay in dead letters.
func (r *Relay) Source() string { return sourcePrefix + r.name }

// Run publishes until ctx ends, and then returns nil. It returns the errors of subscription.Subscription.Run. An outage of
// the broker is waited out.
func (r *Relay) Run(ctx context.Context) error {
	stopping := make(chan struct{})
	if !r.stopping.CompareAndSwap(nil, &stopping) {
		return fmt.Errorf("outbox relay %s: %w", r.name, subscription.ErrRunning)
	}
	defer r.stopping.Store(nil)
	defer context.AfterFunc(ctx, func() { close(stopping) })()
	if err := r.feed.Run(ctx); err != nil {
		return fmt.Errorf("outbox relay %s: %w", r.name, err)
	}
	return nil
}

// WaitFor waits until all events up to position are published, or are dead letters, by whichever process.
func (r *Relay) WaitFor(ctx context.Context, position event.Position) error {
	return r.feed.WaitFor(ctx, position)
}

// Status is a report on a relay of the log.
type Status struct {
	Feed   subscription.Status `json:"feed"`             // over all processes; its lag is the backlog
	Broker *Outage             `json:"broker,omitempty"` // why this process cannot publish; nil: it can
}

// Status reports. It reads the store; the outage is that of this process.
func (r *Relay) Status(ctx context.Context) (Status, error) {
	feed, err := r.feed.Status(ctx)
	outage, _ := r.weather.outage()
	return Status{Feed: feed, Broker: outage}, err
}

// Health gives an error when the broker does not work, or the subscription is faulted or stalled; it suits events.Part.
func (r *Relay) Health(ctx context.Context) error {
	err := r.feed.Health(ctx)
	if outage, cause := r.weather.outage(); outage != nil {
		err = errors.Join(fmt.Errorf("publish, since %s: %w", outage.Since.Format(time.RFC3339), cause), err)
	}
	if err != nil {
		return fmt.Errorf("outbox relay %s: %w", r.name, err)
	}
	return nil
}

// processor keeps Process out of the Relay's face.
type processor struct{ *Relay }

// Process implements subscription.Processor. The checkpoint moves after all events are confirmed, or dead letters. It
// fails only when it must stop, or the store does not keep what must be kept: those are no faults of an event.
func (r processor) Process(ctx context.Context, b *subscription.Batch) error {
	parcels := make([]*parcel, len(b.Events))
	for i := range b.Events {
		parcels[i] = r.pack(&b.Events[i])
	}
	if err := r.deliver(ctx, parcels); err != nil {
		return err
	}
	if b.Retried() && !parcels[0].sent {
		return parcels[0].err // back to the dead letters
	}
	for i, p := range parcels {
		if p.sent {
			continue
		}
		e := b.Events[i]
		err := r.letters.ParkNow(ctx, deadletter.Letter{Source: r.Source(), Event: &e, Error: p.err.Error(), Attempts: max(1, p.tries)})
		if err != nil {
			return err
		}
		r.o.OnError(fmt.Errorf("outbox relay %s: %s in stream %s at position %d is a dead letter: %w", r.name, e.Type, e.Stream, e.Position, p.err))
	}
	return b.Commit(ctx)
}

// pack maps an event to what is published.
func (r *Relay) pack(e *event.Recorded) *parcel {
	p := &parcel{lane: string(e.Stream)}
	if p.messages, p.err = r.mapped(*e); p.err != nil {
		p.fate = fateRefused
	}
	return p
}

func (r *Relay) mapped(e event.Recorded) (messages []broker.Message, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panics.New("map to messages", value)
		}
	}()
	if messages, err = r.o.Map(e); err != nil {
		return nil, fmt.Errorf("map to messages: %w", err)
	}
	for i := range messages {
		m := &messages[i]
		if m.ID == "" && i == 0 {
			m.ID = e.ID.String()
		} else if m.ID == "" {
			m.ID = fmt.Sprintf("%s.%d", e.ID, i+1)
		}
		if m.Topic == "" {
			m.Topic = r.o.Topic(e)
		}
		if m.Key == "" {
			m.Key = string(e.Stream)
		}
	}
	return messages, nil
}

// deliver publishes until each parcel is sent or refused. It fails only when it must stop.
func (r *Relay) deliver(ctx context.Context, parcels []*parcel) error {
	for failures := 1; ; failures++ {
		outage := r.courier.attempt(ctx, parcels)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.weather.note(outage, r.o.Now())
		cause := outage
		open := false
		for _, p := range parcels {
			if p.err != nil && p.fate == fateRetry {
				if p.tries++; p.tries >= r.o.Retry.Attempts {
					p.fate = fateRefused
				} else if cause == nil {
					cause = p.err
				}
			}
			open = open || !p.sent && p.fate != fateRefused
		}
		if !open {
			return nil
		}
		if cause != nil {
			r.o.OnError(fmt.Errorf("outbox relay %s: attempt %d: %w", r.name, failures, cause))
			if !sleep(ctx, *r.stopping.Load(), r.o.Retry.Pause(failures)) {
				return fmt.Errorf("stop while the broker does not work: %w: %w", store.ErrUnavailable, cause)
			}
		}
	}
}
