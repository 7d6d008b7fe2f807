package observe

import (
	"context"
	"log/slog"
)

// Slog writes what it sees to a logger: successes at Debug, failures at Warn.
type Slog struct{ logger *slog.Logger }

// NewSlog gives an observer over logger; nil means slog.Default().
func NewSlog(logger *slog.Logger) *Slog {
	if logger == nil {
		logger = slog.Default()
	}
	return &Slog{logger: logger}
}

// OnAppend implements AppendHook.
func (s *Slog) OnAppend(ctx context.Context, a Append) {
	s.log(ctx, "append", a.Err, slog.String("stream", a.Stream), slog.Int("streams", a.Streams),
		slog.Int("events", a.Events), slog.Bool("duplicate", a.Duplicate), slog.Duration("took", a.Took))
}

// OnRead implements ReadHook.
func (s *Slog) OnRead(ctx context.Context, r Read) {
	s.log(ctx, "read", r.Err, slog.String("stream", r.Stream), slog.Int("events", r.Events), slog.Duration("took", r.Took))
}

// OnDispatch implements DispatchHook.
func (s *Slog) OnDispatch(ctx context.Context, d Dispatch) {
	s.log(ctx, "dispatch "+d.Kind, d.Err, slog.String("name", d.Name), slog.Duration("took", d.Took))
}

// OnPublish implements PublishHook.
func (s *Slog) OnPublish(ctx context.Context, p Publish) {
	s.log(ctx, "publish", p.Err, slog.String("topic", p.Topic), slog.Int("messages", p.Messages), slog.Int("failed", p.Failed),
		slog.Duration("took", p.Took))
}

// OnDelivery implements DeliveryHook.
func (s *Slog) OnDelivery(ctx context.Context, d Delivery) {
	s.log(ctx, "delivery", d.Err, slog.String("group", d.Group), slog.String("topic", d.Topic), slog.Int("attempt", d.Attempt),
		slog.Int("deliveries", d.Deliveries), slog.String("outcome", string(d.Outcome)), slog.Duration("took", d.Took))
}

// OnSkew implements SkewHook. It is an error: somebody has to replace this program.
func (s *Slog) OnSkew(ctx context.Context, k Skew) {
	s.logger.LogAttrs(ctx, slog.LevelError, "version skew: another release wrote this event", slog.String("consumer", k.Consumer),
		slog.String("reason", k.Reason), slog.String("type", k.Type), slog.Int("schema_version", k.SchemaVersion), slog.String("event_id", k.EventID),
		slog.String("stream", k.Stream), slog.Int64("position", k.Position), slog.String("tenant", k.Tenant), slog.Bool("parked", k.Parked),
		slog.Any("error", k.Err))
}

func (s *Slog) log(ctx context.Context, what string, err error, attrs ...slog.Attr) {
	level := slog.LevelDebug
	if err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Any("error", err))
	}
	s.logger.LogAttrs(ctx, level, what, attrs...)
}
