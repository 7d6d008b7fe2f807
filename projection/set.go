package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"lexigram.dev/events/subscription"
)

// Set runs projections. It is safe for concurrent use; Run can be called once.
type Set struct {
	members []*Projection
	runners []*runner

	mu       sync.Mutex
	prepared bool
	running  bool
}

// NewSet puts projections together, and reports all faults of how they were made: duplicate names, unknown names in
// DependsOn, circles, faults of options. It does no I/O.
func NewSet(projections ...*Projection) (*Set, error) {
	s := &Set{members: slices.Clone(projections)}
	byName := map[string]*Projection{}
	var faults []error
	for _, p := range projections {
		if err := errors.Join(p.faults...); err != nil {
			faults = append(faults, fmt.Errorf("projection %s: %w", p.name, err))
		}
		if byName[p.name] != nil {
			faults = append(faults, fmt.Errorf("projection %s: there are two of that name", p.name))
		}
		byName[p.name] = p
	}
	for _, p := range projections {
		r := newRunner(p)
		for _, name := range p.options.DependsOn {
			need := byName[name]
			if need == nil {
				faults = append(faults, fmt.Errorf("projection %s: it depends on %q, which is not in the set", p.name, name))
				continue
			}
			r.needs = append(r.needs, need)
		}
		s.runners = append(s.runners, r)
	}
	if circle := findCircle(projections, byName); circle != nil {
		faults = append(faults, fmt.Errorf("projections depend on each other in a circle: %v", circle))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("make a set of projections: %w", err)
	}
	return s, nil
}

// findCircle gives the names of projections that depend on each other; nil where there are none.
func findCircle(projections []*Projection, byName map[string]*Projection) []string {
	done := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if i := slices.Index(path, name); i >= 0 {
			return append(slices.Clone(path[i:]), name)
		}
		if done[name] || byName[name] == nil {
			return nil
		}
		path = append(path, name)
		for _, next := range byName[name].options.DependsOn {
			if circle := visit(next); circle != nil {
				return circle
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		return nil
	}
	for _, p := range projections {
		if circle := visit(p.name); circle != nil {
			return circle
		}
	}
	return nil
}

// Prepare checks what can be checked before the first event: that all event types are registered, and that the backend can
// do what is asked. It makes the projections known to the store, begins to build a new version where there is one, and makes
// inline ones part of the appends of this process. Run does it; call it before, so that no append comes earlier.
func (s *Set) Prepare(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepared {
		return nil
	}
	var faults []error
	for _, p := range s.members {
		if err := p.check(); err != nil {
			faults = append(faults, fmt.Errorf("start projection %s: %w", p.name, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for _, p := range s.members {
		if err := p.adopt(ctx); err != nil {
			return fmt.Errorf("start projection %s: %w", p.name, err)
		}
	}
	for _, p := range s.members {
		if p.options.Mode == Inline {
			if err := p.store.AddInline(p.appended); err != nil {
				return fmt.Errorf("start projection %s: %w", p.name, err)
			}
		}
	}
	s.prepared = true
	return nil
}

// Name gives "projections"; with Run and Health it suits events.Engine.AddRunners.
func (s *Set) Name() string { return "projections" }

// Run runs all projections until ctx ends, and then returns nil when all have stopped. One that has failed does not stop
// the others: it is in its status, and in Health.
func (s *Set) Run(ctx context.Context) error {
	s.mu.Lock()
	again := s.running
	s.running = true
	s.mu.Unlock()
	if again {
		return fmt.Errorf("run projections: %w", subscription.ErrRunning)
	}
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failures := make([]error, len(s.runners))
	var running sync.WaitGroup
	for i, r := range s.runners {
		running.Go(func() {
			if failures[i] = r.run(ctx); failures[i] != nil {
				stop() // the store is closed: it is for the others, too
			}
		})
	}
	running.Wait()
	return errors.Join(failures...)
}

// Health gives an error when a projection is faulted or stalled; it suits events.Part.
func (s *Set) Health(ctx context.Context) error {
	var faults []error
	for _, r := range s.runners {
		if err := r.health(ctx); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func (r *runner) health(ctx context.Context) error {
	status, err := NewControl(r.projection.store).Status(ctx, r.projection.name)
	if err == nil && (status.State == StateFaulted || status.State == StateStalled) {
		err = fmt.Errorf("projection %s is %s at position %d of %d: %s", status.Name, status.State, status.Position, status.Head, status.Error)
	}
	return err
}
