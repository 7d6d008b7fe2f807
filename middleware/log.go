package middleware

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"lexigram.dev/events/event"
)

// LogOptions are the settings of Log; the zero value works.
type LogOptions struct {
	// Logger is where it writes. Defaults to slog.Default().
	Logger *slog.Logger

	// Level is that of messages which succeed. Those that fail are logged as errors. Defaults to slog.LevelInfo.
	Level slog.Level

	// Payload logs the message's content too, as JSON, with the values of secret fields replaced. A payload that is a
	// slog.LogValuer is logged as it says. Defaults to false.
	Payload bool

	// MaxPayloadBytes is how much of the content is logged. Defaults to 1000.
	MaxPayloadBytes int

	// Secret are the names of fields, at any depth and in any case, whose values are replaced. Defaults to SecretFields.
	Secret []string
}

// SecretFields are the names of fields whose values are not logged unless told otherwise.
func SecretFields() []string {
	return []string{
		"password", "passphrase", "secret", "token", "access_token", "refresh_token", "api_key", "apikey", "authorization", "private_key",
		"card_number", "cvv", "iban", "ssn",
	}
}

const hidden = "***"

// Log writes one line per message: its name, how long it took, the correlation id, and what went wrong.
func Log(o LogOptions) Step {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxPayloadBytes == 0 {
		o.MaxPayloadBytes = 1000
	}
	if o.Secret == nil {
		o.Secret = SecretFields()
	}
	secret := make(map[string]bool, len(o.Secret))
	for _, name := range o.Secret {
		secret[strings.ToLower(name)] = true
	}
	return func(ctx context.Context, c Call, next Next) error {
		start := time.Now()
		err := next(ctx)
		level := o.Level
		if err != nil {
			level = slog.LevelError
		}
		if !o.Logger.Enabled(ctx, level) {
			return err
		}
		attrs := []slog.Attr{slog.String("name", c.Name()), slog.Duration("took", time.Since(start))}
		if handler := c.Handler(); handler != "" {
			attrs = append(attrs, slog.String("handler", handler))
		}
		if m := event.MetadataFrom(ctx); m.CorrelationID != "" {
			attrs = append(attrs, slog.String("correlation_id", m.CorrelationID))
		}
		if o.Payload {
			attrs = append(attrs, slog.Any("payload", content(c.Payload(), secret, o.MaxPayloadBytes)))
		}
		if err != nil {
			attrs = append(attrs, slog.Any("error", err))
		}
		o.Logger.LogAttrs(ctx, level, string(c.Kind()), attrs...)
		return err
	}
}

// content is a payload as it may be logged.
func content(payload any, secret map[string]bool, limit int) slog.Value {
	if valuer, ok := payload.(slog.LogValuer); ok {
		return slog.AnyValue(valuer)
	}
	data, err := json.Marshal(payload)
	if err != nil {
		return slog.StringValue("cannot be shown: " + err.Error())
	}
	var tree any
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return slog.StringValue("cannot be shown: " + err.Error())
	}
	shown, err := json.Marshal(redact(tree, secret))
	if err != nil {
		return slog.StringValue("cannot be shown: " + err.Error())
	}
	if len(shown) > limit {
		for limit > 0 && !utf8.RuneStart(shown[limit]) {
			limit--
		}
		return slog.StringValue(string(shown[:limit]) + "…")
	}
	return slog.StringValue(string(shown))
}

// redact replaces the values of secret fields in what JSON was decoded to.
func redact(v any, secret map[string]bool) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if secret[strings.ToLower(name)] {
				v[name] = hidden
			} else {
				v[name] = redact(value, secret)
			}
		}
	case []any:
		for i := range v {
			v[i] = redact(v[i], secret)
		}
	}
	return v
}
