package projection

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Projection is a named set of handlers and of the documents that they write. Handlers and documents are added before it
// is run; then it is safe for concurrent use.
type Projection struct {
	name     string
	store    *store.Store
	registry *schema.Registry
	options  Options

	handlers  []handler
	documents []kind
	faults    []error // of what was added

	routes  atomic.Pointer[routes]  // nil until the types are looked up
	catalog atomic.Pointer[catalog] // as it was last read
}

// New makes a projection. It does no I/O. The name keeps the read model and its place in the log; it has no "/", "@" or
// space. A fault of the options or of what is added later is reported when the projection is put into a Set.
func New(s *store.Store, registry *schema.Registry, name string, o Options) *Projection {
	p := &Projection{name: name, store: s, registry: registry, options: o.withDefaults(name)}
	if err := event.ValidateName(name); err != nil {
		p.fault("name: %w", err)
	} else if strings.ContainsAny(name, "/@ ") {
		p.fault("name: must hold no %q, %q and space", "/", "@")
	}
	if err := p.options.validate(s); err != nil {
		p.fault("%w", err)
	}
	return p
}

// Name gives the name.
func (p *Projection) Name() string { return p.name }

func (p *Projection) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf(format, args...))
}

// check reports all faults of how the projection was put together, and looks its event types up.
func (p *Projection) check() error {
	faults := p.faults
	if _, err := p.routing(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// fixed reports whether generations of the read model cannot be told apart, or not removed.
func (p *Projection) fixed() bool {
	return p.options.Drop == nil && (p.options.Transaction || len(p.documents) == 0)
}

// plain reports whether the handlers write nothing that could be in one unit with the checkpoint.
func (p *Projection) plain() bool { return !p.options.Transaction && len(p.documents) == 0 }
