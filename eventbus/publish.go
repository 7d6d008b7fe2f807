package eventbus

import (
	"context"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/cloudevents"

	"lexigram.dev/events/broker"
)

// Keyed is implemented by events that say what keeps their order: those of one key are handled in the order in which they
// were published. Others are handled in any order.
type Keyed interface {
	EventKey() string
}

// Outgoing is an event with particulars, to be given to Publish in place of the bare event. What is zero gets its default.
type Outgoing struct {
	Event      any       // of a registered type. Required
	ID         event.ID  // default: a new one. Give your own, and keep it, to publish again after an unknown outcome.
	Key        string    // default: what a Keyed event says, else none
	Subject    string    // default: none
	OccurredAt time.Time // default: now
}

// Publish sends events, of registered types or as Outgoing, and returns once the broker has confirmed them; handlers run
// later, here or elsewhere. Metadata comes from the context (event.WithMetadata); without a correlation id an event begins
// a conversation of its own.
//
// Errors are those of the schema registry and of broker.Broker's Publish, whose *broker.PublishError says which events
// were not confirmed; or ErrNoHandler (Options.RequireHandlers). An event that is refused makes it send none.
func (b *Bus) Publish(ctx context.Context, events ...any) error {
	if err := b.Declare(ctx); err != nil {
		return fmt.Errorf("publish events: %w", err)
	}
	messages := make([]broker.Message, len(events))
	metadata := event.MetadataFrom(ctx)
	for i, e := range events {
		m, err := b.encode(e, metadata)
		if err != nil {
			return fmt.Errorf("publish events: %w", err)
		}
		messages[i] = m
	}
	return b.broker.Publish(ctx, messages...)
}

func (b *Bus) encode(e any, metadata event.Metadata) (broker.Message, error) {
	var out Outgoing
	switch e := e.(type) {
	case Outgoing:
		out = e
	case *Outgoing:
		out = *e
	default:
		out.Event = e
	}
	if out.ID.IsZero() {
		out.ID = b.o.NewID()
	}
	if keyed, ok := out.Event.(Keyed); ok && out.Key == "" {
		out.Key = keyed.EventKey()
	}
	if out.OccurredAt.IsZero() {
		out.OccurredAt = b.o.Now()
	}
	p, err := b.registry.Encode(out.Event)
	if err != nil {
		return broker.Message{}, err
	}
	if b.o.RequireHandlers && !b.handles(p.Type) {
		return broker.Message{}, fmt.Errorf("event %s (%T): %w on this bus takes it", p.Type, out.Event, ErrNoHandler)
	}
	if metadata.CorrelationID == "" {
		metadata.CorrelationID = out.ID.String()
	}
	return cloudevents.Encode(cloudevents.Envelope{
		ID: out.ID.String(), Source: b.o.Source, Subject: out.Subject, Key: out.Key,
		Event: event.Recorded{
			ID: out.ID, Type: p.Type, SchemaVersion: p.SchemaVersion, ContentType: p.ContentType, Data: p.Data,
			RawMetadata: metadata.AppendJSON(nil), Tags: p.Tags, OccurredAt: out.OccurredAt,
		},
	}, b.o.Topic)
}

// handles reports whether a handler of this bus takes events of a type.
func (b *Bus) handles(eventType string) bool {
	for _, h := range b.handlers { // does not change any more
		if takes, err := h.takesType(eventType); takes && err == nil {
			return true
		}
	}
	return false
}
