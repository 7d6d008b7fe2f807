package errcode

import (
	"errors"
	"slices"
	"strings"
)

// Code names a kind of error: LEX_ERR_EVT_ and three digits.
type Code string

// Prefix begins all codes.
const Prefix = "LEX_ERR_EVT_"

// Page is the path of the code's page in the repository.
func (c Code) Page() string { return "docs/errors/" + string(c) + ".md" }

// Number is what follows the prefix: "004".
func (c Code) Number() string { return strings.TrimPrefix(string(c), Prefix) }

// Coded is an error that has a code. Find it with errors.As, or ask Of.
type Coded interface {
	error
	ErrorCode() Code
}

// New makes a sentinel: an error with a code and nothing else, which is equal to itself alone.
func New(code Code, text string) error { return &coded{code: code, err: errors.New(text)} }

// With gives an error a code, in front of those that it carries already. Its text stays. Nil stays nil.
func With(code Code, err error) error {
	if err == nil {
		return nil
	}
	return &coded{code: code, err: err}
}

// Of gives the outermost code that an error carries: what failed, where it wraps why. ok is false where it carries none.
func Of(err error) (code Code, ok bool) {
	var c Coded
	if !errors.As(err, &c) {
		return "", false
	}
	return c.ErrorCode(), true
}

// All gives each code that an error and what it wraps carry, once, the outermost first.
func All(err error) []Code {
	var found []Code
	var walk func(err error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if c, ok := err.(Coded); ok { //nolint:errorlint // the tree is walked here
			if code := c.ErrorCode(); !slices.Contains(found, code) {
				found = append(found, code)
			}
		}
		switch wrapper := err.(type) { //nolint:errorlint // the tree is walked here
		case interface{ Unwrap() error }:
			walk(wrapper.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range wrapper.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
	return found
}

// Parse reads a code as people write it: LEX_ERR_EVT_004, 004 or 4. ok is false where there is no such code.
func Parse(text string) (code Code, ok bool) {
	number := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), Prefix)
	if len(number) < 3 {
		number = strings.Repeat("0", 3-len(number)) + number
	}
	code = Code(Prefix + number)
	return code, slices.Contains(List(), code)
}

// coded is an error and its code.
type coded struct {
	code Code
	err  error
}

func (c *coded) Error() string   { return c.err.Error() }
func (c *coded) Unwrap() error   { return c.err }
func (c *coded) ErrorCode() Code { return c.code }
