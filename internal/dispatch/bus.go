package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
)

// Options are the settings of a bus; the zero value works.
type Options struct {
	// Timeout bounds each dispatch: the handler's context ends after so long. It is up to the handler to return then.
	// Defaults to none.
	Timeout time.Duration

	// Hooks watch dispatches. Defaults to none.
	Hooks observe.Hooks

	// NewID makes the correlation id of a message that is dispatched with a context that has none. Defaults to
	// event.NewID.
	NewID func() event.ID
}

// Bus holds the handlers of one kind of messages. It is safe for concurrent use; dispatching takes no lock.
type Bus struct {
	kind    string
	timeout time.Duration
	hooks   observe.Hooks
	newID   func() event.ID

	handlers atomic.Pointer[map[reflect.Type]any] // never changed: adding makes a new one. Of *Handler[C, R] by C

	mu         sync.Mutex // held by writers
	middleware []Middleware
}

// New makes an empty bus; kind, such as "command", is used in errors.
func New(kind string, o Options) *Bus {
	if o.NewID == nil {
		o.NewID = event.NewID
	}
	b := &Bus{kind: kind, timeout: o.Timeout, hooks: o.Hooks, newID: o.NewID}
	b.handlers.Store(&map[reflect.Type]any{})
	return b
}

// Use adds middleware. The first added is the outermost: it sees a message first and its result last. All of it must be
// added before the first handler.
func (b *Bus) Use(middleware ...Middleware) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.Names(); len(known) > 0 {
		return fmt.Errorf("add %s middleware: %w: handlers are registered, and would not have it: %s; add middleware first",
			b.kind, ErrLate, strings.Join(known, ", "))
	}
	for i, m := range middleware {
		if m == nil {
			return fmt.Errorf("add %s middleware: number %d is nil", b.kind, i+1)
		}
	}
	b.middleware = append(b.middleware, middleware...)
	return nil
}

// Names lists the types that have a handler, sorted.
func (b *Bus) Names() []string {
	var names []string
	for t := range *b.handlers.Load() {
		names = append(names, t.String())
	}
	slices.Sort(names)
	return names
}

// Handle registers the handler of messages of type C.
func Handle[C, R any](b *Bus, handle func(ctx context.Context, c C) (R, error)) error {
	t := reflect.TypeFor[C]()
	if err := b.add(t, handle == nil, func(middleware []Middleware) any { return newHandler(b, t, handle, middleware) }); err != nil {
		return fmt.Errorf("handle %s %v: %w", b.kind, t, err)
	}
	return nil
}

func (b *Bus) add(t reflect.Type, missing bool, build func([]Middleware) any) error {
	if missing {
		return errors.New("the handler is nil")
	}
	if t.Kind() == reflect.Interface {
		return errors.New("must be a concrete type: messages are told apart by type")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.handlers.Load()
	if _, taken := old[t]; taken {
		return fmt.Errorf("%w: one handler per type", ErrDuplicateHandler)
	}
	next := maps.Clone(old)
	next[t] = build(b.middleware)
	b.handlers.Store(&next)
	return nil
}

// Resolve finds the handler of C, which must give an R.
func Resolve[C, R any](b *Bus) (*Handler[C, R], error) {
	t := reflect.TypeFor[C]()
	found, ok := (*b.handlers.Load())[t]
	if !ok {
		return nil, b.missing(t)
	}
	h, ok := found.(*Handler[C, R])
	if !ok {
		return nil, fmt.Errorf("dispatch %s %v: %w: %v asked for, the handler gives %v",
			b.kind, t, ErrResultType, reflect.TypeFor[R](), found.(untyped).resultType())
	}
	return h, nil
}

// Dispatch sends a message to the handler of its type, which must give an R.
func Dispatch[C, R any](ctx context.Context, b *Bus, c C) (R, error) {
	h, err := Resolve[C, R](b)
	if err != nil {
		var none R
		return none, err
	}
	return h.Dispatch(ctx, c)
}

// Dispatch sends a message whose type is known only at run time.
func (b *Bus) Dispatch(ctx context.Context, message any) (any, error) {
	t := reflect.TypeOf(message)
	found, ok := (*b.handlers.Load())[t]
	if !ok {
		return nil, b.missing(t)
	}
	return found.(untyped).dispatchAny(ctx, message)
}

func (b *Bus) missing(t reflect.Type) error {
	known := "no handler is registered at all"
	if names := b.Names(); len(names) > 0 {
		known = "there are handlers for " + strings.Join(names, ", ")
	}
	return fmt.Errorf("dispatch %s %v: %w; %s", b.kind, t, ErrNoHandler, known)
}
