package events

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/store"
)

// Part is something that runs in the background as long as the engine does.
type Part struct {
	// Name identifies the part in errors and in the health report. Required, unique in an engine.
	Name string

	// Run does the work until ctx ends, and then returns nil or the context's error. It may return nil before, when
	// there is nothing left to do. Any other error, or a panic, stops the whole engine. Required.
	Run func(ctx context.Context) error

	// Health tells why a running part does not work as it should. It is called for each health report, from any
	// goroutine. Defaults to: a running part is well.
	Health func(ctx context.Context) error
}

// part is a Part and how it fares.
type part struct {
	Part
	status Status // guarded by Engine.mu, as is err
	err    error
}

// ErrRunning says that the engine runs already, or has run; it runs once.
var ErrRunning = errcode.New(errcode.Running, "the engine was started already")

// PanicError is a panic of a part, with its value and stack.
type PanicError = panics.Error

// Add adds a part, before Run.
func (e *Engine) Add(p Part) error {
	if p.Name == "" || p.Run == nil {
		return fmt.Errorf("add part %q: a name and a function Run are needed", p.Name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.startable(); err != nil {
		return fmt.Errorf("add part %q: %w", p.Name, err)
	}
	for _, other := range e.parts {
		if other.Name == p.Name {
			return fmt.Errorf("add part %q: there is a part of that name", p.Name)
		}
	}
	e.parts = append(e.parts, &part{Part: p, status: StatusIdle})
	return nil
}

// Runner is what runs in the background under a name of its own: a subscription, a set of projections, an event bus, an
// outbox's relay.
type Runner interface {
	Name() string
	Run(ctx context.Context) error
	Health(ctx context.Context) error
}

// AddRunners adds runners as parts, before Run.
func (e *Engine) AddRunners(runners ...Runner) error {
	var faults []error
	for _, r := range runners {
		faults = append(faults, e.Add(Part{Name: r.Name(), Run: r.Run, Health: r.Health}))
	}
	return errors.Join(faults...)
}

// startable says why the engine cannot be started (any more). The caller holds mu.
func (e *Engine) startable() error {
	if e.closed {
		return store.ErrClosed
	}
	if e.stop != nil {
		return ErrRunning
	}
	return nil
}

// Run runs the parts until ctx ends or the engine is closed, and returns when all of them have: nil after a clean stop.
// The first part that fails or panics stops the others; the error names it. Run can be called once. The store stays open
// until Close.
func (e *Engine) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := e.start(stop); err != nil {
		return fmt.Errorf("run the engine: %w", err)
	}
	defer close(e.stopped)

	failures := make([]error, len(e.parts)) // e.parts does not change any more
	var running sync.WaitGroup
	for i, p := range e.parts {
		running.Go(func() {
			err := p.run(ctx)
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				err = nil // it stopped because it was told to
			}
			if err != nil {
				failures[i] = fmt.Errorf("part %q: %w", p.Name, err)
				stop()
			}
			e.ended(p, err)
		})
	}
	<-ctx.Done()
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("run the engine: %w", err)
	}
	return nil
}

func (e *Engine) start(stop context.CancelFunc) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.startable(); err != nil {
		return err
	}
	e.stop = stop
	for _, p := range e.parts {
		p.status = StatusRunning
	}
	return nil
}

func (e *Engine) ended(p *part, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p.status, p.err = StatusStopped, err
	if err != nil {
		p.status = StatusFailed
	}
}

func (p *part) run(ctx context.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panics.New("run", value)
		}
	}()
	return p.Run(ctx)
}
