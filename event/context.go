package event

import "context"

type metadataKey struct{}

// WithMetadata gives a context whose metadata is m, with each empty field filled from what ctx already carries. Command
// dispatch, subscriptions and HTTP middleware set it; repositories stamp it on the events they append.
func WithMetadata(ctx context.Context, m Metadata) context.Context {
	return context.WithValue(ctx, metadataKey{}, m.Or(MetadataFrom(ctx)))
}

// WithCause gives a context for handling r: what happens next is caused by r and belongs to r's conversation.
func WithCause(ctx context.Context, r Recorded) (context.Context, error) {
	m, err := r.Metadata()
	if err != nil {
		return ctx, err
	}
	m.CausationID = r.ID.String()
	if m.CorrelationID == "" {
		m.CorrelationID = r.ID.String()
	}
	return WithMetadata(ctx, m), nil
}

// MetadataFrom gives the metadata that ctx carries; the zero value where there is none.
func MetadataFrom(ctx context.Context) Metadata {
	m, _ := ctx.Value(metadataKey{}).(Metadata)
	return m
}
