package otelobserve_test

import (
	"errors"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"lexigram.dev/events/observe"
)

func TestAnEventOfAnotherReleaseIsAFailedSpanInATraceOrByItself(t *testing.T) {
	tracer, spans := recorder()
	hooks, err := observe.NewHooks(tracer)
	must(t, err)
	ctx, root := sdktrace.NewTracerProvider().Tracer("test").Start(t.Context(), "root")
	hooks.Skew(ctx, observe.Skew{Type: "order.placed", Consumer: "saga/fulfil", Reason: "newer_version", SchemaVersion: 3, Position: 41, Parked: true, Err: errors.New("version 3")})
	hooks.Skew(t.Context(), observe.Skew{Type: "order.paid", Reason: "unknown_type"})
	inside, alone := named(t, spans, "version skew order.placed"), named(t, spans, "version skew order.paid")
	if inside.Parent().SpanID() != root.SpanContext().SpanID() || alone.Parent().IsValid() {
		t.Errorf("parents %v and %v", inside.Parent(), alone.Parent())
	}
	if inside.Status().Code != codes.Error || alone.Status().Code != codes.Error || len(inside.Events()) != 1 || len(alone.Events()) != 0 {
		t.Errorf("status %v and %v", inside.Status(), alone.Status())
	}
	got := map[attribute.Key]string{}
	for _, a := range inside.Attributes() {
		got[a.Key] = a.Value.String()
	}
	for key, want := range map[attribute.Key]string{
		"lexigram.consumer": "saga/fulfil", "lexigram.reason": "newer_version", "lexigram.schema_version": "3", "lexigram.position": "41", "lexigram.parked": "true",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}
