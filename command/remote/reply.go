package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
)

// outcome is what became of a command, as it is sent and kept.
type outcome struct {
	Code    string          `json:"code"`
	Message string          `json:"message,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
}

// failed makes the outcome of an error that the server itself gives, whose text may be sent.
func failed(code string, err error) outcome { return outcome{Code: code, Message: err.Error()} }

// failure makes the outcome of a handler's error. Without a code its text stays here.
func (s *Server) failure(err error) outcome {
	for _, c := range s.codes {
		if errors.Is(err, c.kind) {
			o := outcome{Code: c.name}
			if c.public || s.o.ExposeErrors {
				o.Message = err.Error()
			}
			return o
		}
	}
	o := outcome{Code: codeInternal}
	if s.o.ExposeErrors {
		o.Message = err.Error()
	}
	return o
}

// message makes the reply.
func (s *Server) message(r *incoming, o outcome) broker.Message {
	body := []byte(o.Result)
	if o.Code != codeOK {
		body, _ = json.Marshal(o) // strings: cannot fail
	}
	return broker.Message{
		ID: event.DerivedID(event.ID{}, r.id+"\nreply").String(), Topic: replyTopic(s.topic, r.client), Body: body,
		Headers: map[string]string{"content-type": event.JSON, headerRequest: r.id, headerStatus: o.Code},
	}
}

// limited gives an outcome that can be sent.
func (s *Server) limited(r *incoming, o outcome) outcome {
	err := s.broker.Check(s.message(r, o))
	switch {
	case err == nil:
		return o
	case o.Code == codeOK:
		return failed(codeReplySize, fmt.Errorf("%w: %w", ErrReplyTooLarge, err))
	}
	return outcome{Code: o.Code} // the text was too much
}

// parting is how long a reply may take after the deadline, or at the server's end.
const parting = 5 * time.Second

// reply sends the outcome; again, while the broker is not there, until the deadline. Then nobody waits for it any more.
func (s *Server) reply(ctx context.Context, r *incoming, o outcome) {
	m := s.message(r, s.limited(r, o))
	wait := max(r.deadline.Sub(s.o.Now()), parting)
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(parting, cancel) })()
	if err := insist(sending, s.broker, m); err != nil {
		s.report(r, "send the reply", err)
	}
}

// insist publishes a message until it is confirmed, refused, or the context ends.
func insist(ctx context.Context, b *broker.Broker, m broker.Message) error {
	retry := broker.Retry{}.WithDefaults()
	for failures := 1; ; failures++ {
		err := b.Publish(ctx, m)
		if err == nil || ctx.Err() != nil || !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrFull) {
			return err
		}
		if pause(ctx, retry.Pause(failures)) != nil {
			return err
		}
	}
}

// pause gives the context's error when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
