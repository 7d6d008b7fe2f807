package middleware

import (
	"context"
	"errors"
	"strings"

	"lexigram.dev/events/errcode"
)

// ValidationError is all that is wrong with a message.
type ValidationError struct {
	Message string       // what was to be handled: "command orders.Place"
	Fields  []FieldError // at least one
}

// FieldError is one fault. As an error, validators return it, alone or joined with others.
type FieldError struct {
	Field string `json:"field"` // as in JSON, parts divided by "."; "": the message as a whole
	Rule  string `json:"rule"`  // "required"; "" where the validator has no name for it
	Text  string `json:"text"`  // "must not be empty"
}

// Error implements error.
func (e FieldError) Error() string {
	if e.Field == "" {
		return e.Text
	}
	return e.Field + ": " + e.Text
}

// ErrorCode implements errcode.Coded.
func (FieldError) ErrorCode() errcode.Code { return errcode.Invalid }

// Error implements error.
func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = f.Error()
	}
	return e.Message + ": invalid: " + strings.Join(texts, "; ")
}

// ErrorCode implements errcode.Coded.
func (*ValidationError) ErrorCode() errcode.Code { return errcode.Invalid }

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *ValidationError) Unwrap() error { return ErrInvalid }

// Validator checks the payload of a message. It returns nil, one error, or errors joined by errors.Join; those that are no
// FieldError belong to the message as a whole.
type Validator func(ctx context.Context, payload any) error

// Validate refuses messages with faults before anything else sees them. It asks the message itself, when it has a method
// Validate() error, and then the validators, and reports all faults together as a *ValidationError. Events whose handler
// takes them as they were sent pass.
func Validate(validators ...Validator) Step {
	return func(ctx context.Context, c Call, next Next) error {
		payload := c.Payload()
		if payload == nil {
			return next(ctx)
		}
		var fields []FieldError
		if own, ok := payload.(interface{ Validate() error }); ok {
			fields = appendFields(fields, own.Validate())
		}
		for _, validate := range validators {
			fields = appendFields(fields, validate(ctx, payload))
		}
		if len(fields) > 0 {
			return &ValidationError{Message: title(c), Fields: fields}
		}
		return next(ctx)
	}
}

// appendFields takes an error apart.
func appendFields(fields []FieldError, err error) []FieldError {
	if err == nil {
		return fields
	}
	var (
		field  FieldError
		nested *ValidationError
	)
	switch several, joined := err.(interface{ Unwrap() []error }); {
	case joined:
		for _, err := range several.Unwrap() {
			fields = appendFields(fields, err)
		}
		return fields
	case errors.As(err, &nested):
		return append(fields, nested.Fields...)
	case errors.As(err, &field):
		return append(fields, field)
	default:
		return append(fields, FieldError{Text: err.Error()})
	}
}
