package outbox

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// checks gathers the faults of options.
type checks []error

func (c *checks) check(ok bool, format string, args ...any) {
	if !ok {
		*c = append(*c, fmt.Errorf("%w: %w", store.ErrInvalid, fmt.Errorf(format, args...)))
	}
}

func (c *checks) positive(what string, d time.Duration) {
	c.check(d > 0, "%s %v: must be positive", what, d)
}

func (c *checks) retry(r broker.Retry) {
	err := r.Validate()
	c.check(err == nil, "retry: %v", err)
}

// maxNameBytes leaves room for what stands beside a name in keys.
const maxNameBytes = 100

func validateName(name string) error {
	err := event.ValidateName(name)
	switch {
	case err != nil:
	case strings.Contains(name, "/"):
		err = errors.New(`must not contain "/"`)
	case len(name) > maxNameBytes:
		err = fmt.Errorf("%d bytes are over the limit of %d", len(name), maxNameBytes)
	}
	if err != nil {
		return fmt.Errorf("%w: name %q: %w", store.ErrInvalid, name, err)
	}
	return nil
}
