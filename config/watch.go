package config

import (
	"context"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"lexigram.dev/events/middleware"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/observe/promobserve"
)

// logger makes the logger, or gives the program's own. Both name the service.
func (c *Config) logger(given *slog.Logger) *slog.Logger {
	if given == nil {
		options := &slog.HandlerOptions{Level: slog.LevelInfo}
		if c.Debug {
			options.Level = slog.LevelDebug
		}
		var handler slog.Handler = slog.NewTextHandler(os.Stderr, options)
		if c.Env == "production" {
			handler = slog.NewJSONHandler(os.Stderr, options)
		}
		given = slog.New(handler)
	}
	return given.With(slog.String("service", c.Name))
}

// watch is what looks on.
type watch struct {
	hooks   []any
	metrics *promobserve.Observer // nil: none
}

// watch makes the hooks that the configuration asks for.
func (c *Config) watch(logger *slog.Logger, r prometheus.Registerer, own []any) (*watch, error) {
	w := &watch{}
	log := observe.NewSlog(logger)
	if c.Debug {
		w.hooks = append(w.hooks, engineLog{log})
	}
	if c.logsBroker() {
		w.hooks = append(w.hooks, brokerLog{log})
	}
	if c.MetricsMiddleware.Enabled {
		m := &c.MetricsMiddleware
		var err error
		w.metrics, err = promobserve.New(r, promobserve.Options{Prefix: m.Prefix, WithoutHistograms: !m.IncludeHistograms, Buckets: m.HistogramBuckets})
		if err != nil {
			return nil, err
		}
		w.hooks = append(w.hooks, meter{w.metrics, map[string]bool{
			string(middleware.Command): c.CommandBus.EnableMetrics, string(middleware.Query): c.QueryBus.EnableMetrics, string(middleware.Event): true,
		}})
	}
	w.hooks = append(append(w.hooks, skewAlarm{log}), own...)
	return w, nil
}

// logsBroker reports whether publishing and deliveries are logged: failures always, the rest at level debug.
func (c *Config) logsBroker() bool {
	switch c.EventBus.Backend {
	case "rabbitmq":
		return c.RabbitMQ.EnableLogging
	case "kafka":
		return c.Kafka.EnableLogging
	default:
		return c.Debug
	}
}

// engineLog is the part of a log that is about the store and the buses.
type engineLog struct{ log *observe.Slog }

// OnAppend implements observe.AppendHook.
func (l engineLog) OnAppend(ctx context.Context, a observe.Append) { l.log.OnAppend(ctx, a) }

// OnRead implements observe.ReadHook.
func (l engineLog) OnRead(ctx context.Context, r observe.Read) { l.log.OnRead(ctx, r) }

// OnDispatch implements observe.DispatchHook.
func (l engineLog) OnDispatch(ctx context.Context, d observe.Dispatch) { l.log.OnDispatch(ctx, d) }

// brokerLog is the part of a log that is about the broker.
type brokerLog struct{ log *observe.Slog }

// OnPublish implements observe.PublishHook.
func (l brokerLog) OnPublish(ctx context.Context, p observe.Publish) { l.log.OnPublish(ctx, p) }

// OnDelivery implements observe.DeliveryHook.
func (l brokerLog) OnDelivery(ctx context.Context, d observe.Delivery) { l.log.OnDelivery(ctx, d) }

// skewAlarm is the part of a log that is about events that this release cannot read.
type skewAlarm struct{ log *observe.Slog }

// OnSkew implements observe.SkewHook.
func (a skewAlarm) OnSkew(ctx context.Context, s observe.Skew) { a.log.OnSkew(ctx, s) }

// meter counts what the configuration wants counted.
type meter struct {
	*promobserve.Observer
	kinds map[string]bool
}

// OnDispatch implements observe.DispatchHook.
func (m meter) OnDispatch(ctx context.Context, d observe.Dispatch) {
	if m.kinds[d.Kind] {
		m.Observer.OnDispatch(ctx, d)
	}
}

// onError gives what a background part tells of its failures.
func (a *App) onError(part string) func(err error) {
	return func(err error) { a.logger.Warn(part, slog.Any("error", err)) }
}
