// Package otelobserve traces what the engine does with OpenTelemetry: a span for each command, query and handled event,
// linked through the metadata of events to the span that recorded them, also in other processes and much later; and spans
// for appends, reads, publishing to a broker, and attempts at its messages; and for
// events that another release has written. It joins package observe and middleware with the OpenTelemetry API.
package otelobserve

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lexigram.dev/events/event"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/observe"
)

// scope is the instrumentation's name.
const scope = "lexigram.dev/events"

// Tracer makes spans. It is safe for concurrent use.
type Tracer struct{ tracer trace.Tracer }

// New makes a tracer over the provider of the program.
func New(provider trace.TracerProvider) *Tracer { return &Tracer{tracer: provider.Tracer(scope)} }

// Step makes a span around each message: "command orders.Place", "event order.placed". Its parent is the span in the
// context, or else the one that the metadata in the context names, which is where an event's or a remote command's sender
// was. Events that the handler records, and messages that it sends, carry the new span on.
func (t *Tracer) Step() middleware.Step {
	return func(ctx context.Context, c middleware.Call, next middleware.Next) error {
		kind := trace.SpanKindInternal
		attributes := []attribute.KeyValue{attribute.String("messaging.system", "lexigram"), attribute.String("lexigram.kind", string(c.Kind())), attribute.String("lexigram.name", c.Name())}
		if c.Kind() == middleware.Event {
			kind = trace.SpanKindConsumer
			attributes = append(attributes, attribute.String("lexigram.handler", c.Handler()))
		}
		metadata := event.MetadataFrom(ctx)
		if metadata.CorrelationID != "" {
			attributes = append(attributes, attribute.String("lexigram.correlation_id", metadata.CorrelationID))
		}
		ctx, span := t.tracer.Start(parent(ctx, metadata), string(c.Kind())+" "+c.Name(), trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
		defer span.End()
		err := next(carry(ctx))
		fail(span, err)
		return err
	}
}

// parent gives a context whose span is the one to go on from.
func parent(ctx context.Context, m event.Metadata) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() || m.TraceParent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": m.TraceParent, "tracestate": m.TraceState})
}

// carry puts the span of the context into its metadata.
func carry(ctx context.Context) context.Context {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	if carrier["traceparent"] == "" {
		return ctx
	}
	return event.WithMetadata(ctx, event.Metadata{TraceParent: carrier["traceparent"], TraceState: carrier["tracestate"]})
}

func fail(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
}

// OnAppend implements observe.AppendHook.
func (t *Tracer) OnAppend(ctx context.Context, a observe.Append) {
	t.past(ctx, "append "+a.Stream, a.Took, a.Err, attribute.String("lexigram.stream", a.Stream),
		attribute.Int("lexigram.streams", a.Streams), attribute.Int("lexigram.events", a.Events), attribute.Bool("lexigram.duplicate", a.Duplicate))
}

// OnRead implements observe.ReadHook.
func (t *Tracer) OnRead(ctx context.Context, r observe.Read) {
	name := "read log"
	if r.Stream != "" {
		name = "read " + r.Stream
	}
	t.past(ctx, name, r.Took, r.Err, attribute.String("lexigram.stream", r.Stream), attribute.Int("lexigram.events", r.Events))
}

// OnPublish implements observe.PublishHook.
func (t *Tracer) OnPublish(ctx context.Context, p observe.Publish) {
	t.pastOf(ctx, trace.SpanKindProducer, "publish "+p.Topic, p.Took, p.Err, attribute.String("messaging.destination.name", p.Topic),
		attribute.Int("messaging.batch.message_count", p.Messages), attribute.Int("lexigram.failed", p.Failed))
}

// OnDelivery implements observe.DeliveryHook. Its context is the consumer's own, not the handler's: a span of it is made
// only where the consumer was started within one. What links a handler to the sender is Step.
func (t *Tracer) OnDelivery(ctx context.Context, d observe.Delivery) {
	t.pastOf(ctx, trace.SpanKindConsumer, "attempt "+d.Topic, d.Took, d.Err, attribute.String("messaging.destination.name", d.Topic),
		attribute.String("messaging.consumer.group.name", d.Group), attribute.Int("lexigram.attempt", d.Attempt),
		attribute.Int("lexigram.deliveries", d.Deliveries), attribute.String("lexigram.outcome", string(d.Outcome)))
}

// OnSkew implements observe.SkewHook. The span is always made, if need be as a trace of its own, and is an error: it is rare,
// and somebody has to replace this program.
func (t *Tracer) OnSkew(ctx context.Context, s observe.Skew) {
	_, span := t.tracer.Start(ctx, "version skew "+s.Type, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("lexigram.consumer", s.Consumer), attribute.String("lexigram.reason", s.Reason), attribute.String("lexigram.type", s.Type),
		attribute.Int("lexigram.schema_version", s.SchemaVersion), attribute.String("lexigram.event_id", s.EventID),
		attribute.String("lexigram.stream", s.Stream), attribute.Int64("lexigram.position", s.Position), attribute.String("lexigram.tenant", s.Tenant),
		attribute.Bool("lexigram.parked", s.Parked)))
	span.SetStatus(codes.Error, "another release wrote this event: "+s.Reason)
	if s.Err != nil {
		span.RecordError(s.Err)
	}
	span.End()
}

func (t *Tracer) past(ctx context.Context, name string, took time.Duration, err error, attributes ...attribute.KeyValue) {
	t.pastOf(ctx, trace.SpanKindClient, name, took, err, attributes...)
}

// pastOf makes a span of something that has ended just now, if it belongs to a trace: by itself it would be noise.
func (t *Tracer) pastOf(ctx context.Context, kind trace.SpanKind, name string, took time.Duration, err error, attributes ...attribute.KeyValue) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	end := time.Now()
	_, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(end.Add(-took)), trace.WithAttributes(attributes...))
	fail(span, err)
	span.End(trace.WithTimestamp(end))
}
