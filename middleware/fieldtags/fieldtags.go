// Package fieldtags validates messages by the tags of their fields, `validate:"required,min=1"`, as a middleware.Validator.
// It joins package middleware and go-playground/validator, whose documentation lists the rules.
package fieldtags

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"lexigram.dev/events/middleware"
)

// New makes a validator. A rule of the caller's own is called with the value of the field and reports whether that is
// well; names that the library knows cannot be given again. Payloads that are no structs pass.
func New(rules map[string]func(value any) bool) (middleware.Validator, error) {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(nameInJSON)
	for name, rule := range rules {
		if knows(v, name) {
			return nil, fmt.Errorf("validate by field tags: rule %q is the library's", name)
		}
		if err := v.RegisterValidation(name, func(field validator.FieldLevel) bool { return rule(field.Field().Interface()) }); err != nil {
			return nil, fmt.Errorf("validate by field tags: rule %q: %w", name, err)
		}
	}
	return func(ctx context.Context, payload any) error {
		value := reflect.Indirect(reflect.ValueOf(payload))
		if value.Kind() != reflect.Struct {
			return nil
		}
		err := v.StructCtx(ctx, payload)
		var faults validator.ValidationErrors
		if !errors.As(err, &faults) {
			return err
		}
		fields := make([]error, len(faults))
		for i, fault := range faults {
			fields[i] = fieldError(fault)
		}
		return errors.Join(fields...)
	}, nil
}

// knows reports whether the library has a rule; it panics on a tag with one that it has not.
func knows(v *validator.Validate, rule string) (known bool) {
	defer func() { known = recover() == nil }()
	_ = v.Var("", rule)
	return true
}

// nameInJSON is what a field is called in JSON.
func nameInJSON(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" || name == "" {
		return f.Name
	}
	return name
}

func fieldError(fault validator.FieldError) middleware.FieldError {
	_, field, _ := strings.Cut(fault.Namespace(), ".") // without the struct's own name
	rule := fault.Tag()
	if fault.Param() != "" {
		rule += "=" + fault.Param()
	}
	text := "does not keep the rule " + rule
	if fault.Tag() == "required" {
		text = "is required"
	}
	return middleware.FieldError{Field: field, Rule: rule, Text: text}
}
