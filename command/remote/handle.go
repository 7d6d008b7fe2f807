package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/panics"
)

// handle takes one delivery to its end. It gives an error where the request is to be delivered again, since nobody has
// begun with it, or where it is a dead letter.
func (s *Server) handle(ctx context.Context, d broker.Delivery) error {
	r, err := s.read(d.Message)
	switch {
	case err != nil && r.client == "":
		return broker.Permanent(err)
	case errors.Is(err, ErrUnknownCommand):
		s.reply(ctx, r, failed(codeUnknown, err))
		return nil
	case err != nil:
		s.report(r, "read it", err)
		s.reply(ctx, r, failed(codeMalformed, err))
		return nil
	case !s.o.Now().Before(r.deadline):
		s.expire(ctx, r)
		return nil
	}
	// The deadline is the client's; the time until it, by this server's clock.
	inner, cancel := context.WithTimeout(ctx, r.deadline.Sub(s.o.Now()))
	defer cancel()
	answer := s.atMostOnce
	if r.once != "" {
		answer = s.oncePerKey
	}
	o, err := answer(inner, r)
	switch {
	case err == nil && o != nil:
		s.reply(ctx, r, *o)
	case err != nil && ctx.Err() != nil: // the grace is over before it was begun
		return ctx.Err()
	case err != nil:
		s.report(r, "prepare its handling", err)
		s.expire(ctx, r)
	}
	return nil
}

// expire tells the client, which may not know by its own clock.
func (s *Server) expire(ctx context.Context, r *incoming) {
	s.report(r, "handle it", ErrExpired)
	s.reply(ctx, r, failed(codeExpired, fmt.Errorf("%w: by the clock of the server, before it could begin", ErrExpired)))
}

// run calls the handler. The error is the handler's, or why its result cannot be had; the outcome says it to the client.
func (s *Server) run(ctx context.Context, r *incoming) (outcome, error) {
	result, err := s.dispatch(event.WithMetadata(ctx, r.metadata), r)
	var p *panics.Error
	switch {
	case err == nil:
		return s.limited(r, outcome{Code: codeOK, Result: result}), nil
	case errors.As(err, &p):
		s.report(r, "handle it", fmt.Errorf("%w\n%s", err, p.Stack))
		return outcome{Code: codePanic}, err
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		s.report(r, "handle it", err)
		return failed(codeStopped, ErrInterrupted), err
	}
	o := s.failure(err)
	if o.Message == "" {
		s.report(r, "handle it", err)
	}
	return o, err
}

// dispatch sends the command to its handler and gives the result as JSON. Panics of the user's code are errors.
func (s *Server) dispatch(ctx context.Context, r *incoming) (result json.RawMessage, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panics.New("result of command "+r.name, value)
		}
	}()
	value, err := s.bus.Dispatch(ctx, r.command)
	if err != nil {
		return nil, err
	}
	result, err = json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("result of command %s: %w", r.name, err)
	}
	return result, nil
}
