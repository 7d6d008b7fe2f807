package natsbroker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
)

// window bounds the messages of a handle that are sent and not yet confirmed: servers refuse more than 10,000 for a
// stream, of all publishers together.
const window = 2000

const statusHeader = "Status"

// Publish implements broker.Backend. The messages are sent one after the other without waiting for the confirmation of the
// one before; the stream stores them in this order.
func (b *Backend) Publish(ctx context.Context, messages []broker.Message) []error {
	errs := b.publish(ctx, messages)
	for _, err := range errs {
		if err != nil {
			return b.explain(ctx, errs)
		}
	}
	return nil
}

func (b *Backend) publish(ctx context.Context, messages []broker.Message) []error {
	batch, err := b.answers.begin(len(messages), confirmation)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return repeat(err, len(messages))
	}
	batch.release = func() { <-b.window }
	for i := range messages {
		if err := b.room(ctx); err != nil {
			for ; i < len(messages); i++ {
				b.answers.note(batch, i, err)
			}
			break
		}
		b.answers.send(batch, i, b.encode(&messages[i]))
	}
	return b.answers.wait(ctx, batch, b.options.Timeout)
}

// room waits until one more message may be under way.
func (b *Backend) room(ctx context.Context) error {
	select {
	case b.window <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(b.options.Timeout)
	defer timer.Stop()
	select {
	case b.window <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return unavailable("%d messages wait for confirmation, and none has come for %v", window, b.options.Timeout)
	}
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// confirmation reads what JetStream answers to a message.
func confirmation(_ int, m *nats.Msg) error {
	if len(m.Data) == 0 {
		if m.Header.Get(statusHeader) == "503" {
			return nats.ErrNoResponders
		}
		return unavailable("the server gave an empty answer")
	}
	if !bytes.Contains(m.Data, []byte(`"error":`)) { // the only text of others in it is the stream's name, in quotes
		return nil
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return unavailable("the server's answer is malformed: %w", err)
	}
	if answer.Error == nil {
		return nil
	}
	return answer.Error
}

// explain translates the errors of messages.
func (b *Backend) explain(ctx context.Context, errs []error) []error {
	var absent error // why nobody has answered; asked once
	for i, err := range errs {
		if errors.Is(err, nats.ErrNoResponders) {
			if absent == nil {
				absent = b.whyNobody(ctx)
			}
			errs[i] = absent
			continue
		}
		errs[i] = translate(ctx, err)
	}
	return errs
}

// whyNobody finds out why no stream has taken a message: it is missing, or has no leader at the moment.
func (b *Backend) whyNobody(ctx context.Context) error {
	err := b.call(ctx, "STREAM.INFO", func(ctx context.Context) error {
		_, err := b.js.Stream(ctx, b.options.Stream)
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return refused("there is no stream %s any more", b.options.Stream)
	}
	if errors.Is(err, broker.ErrRefused) {
		return err
	}
	return &kindError{kind: broker.ErrUnavailable, err: fmt.Errorf("stream %s has no leader at present: %w", b.options.Stream, nats.ErrNoResponders)}
}
