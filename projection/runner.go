package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// buildingPoll is how often the catalog is looked at, at least, while a generation is built.
const buildingPoll = 100 * time.Millisecond

// runner keeps what this process does for a projection in line with the catalog. It is used by one goroutine.
type runner struct {
	projection *Projection
	needs      []*Projection
	running    map[int64]*making // by the number of the generation
	changed    chan struct{}     // capacity 1: a making has ended or caught up
	busy       bool              // there is something to watch closely
	head       event.Position    // of the log, when a rebuild was looked at last
}

// making is a generation that this process makes.
type making struct {
	generation Generation
	stop       context.CancelFunc
	done       chan struct{} // closed when it has ended
	err        error         // why it has ended; read after done

	begun time.Time      // of the first report of progress
	from  event.Position // where it was then
}

func newRunner(p *Projection) *runner {
	return &runner{projection: p, running: map[int64]*making{}, changed: make(chan struct{}, 1)}
}

// run returns nil when ctx has ended, or the error of a store that was closed.
func (r *runner) run(ctx context.Context) error {
	defer r.stopAll()
	for {
		again, err := r.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrClosed):
			return fmt.Errorf("run projection %s: %w", r.projection.name, err)
		case err != nil:
			r.projection.options.OnError(fmt.Errorf("projection %s: %w", r.projection.name, err))
		case again:
			continue
		}
		if !r.wait(ctx) {
			return nil
		}
	}
}

func (r *runner) wait(ctx context.Context) bool {
	interval := r.projection.options.PollInterval
	if r.busy {
		interval = min(interval, buildingPoll)
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.changed:
	case <-ctx.Done():
		return false
	}
	return true
}

func (r *runner) poke() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// round brings things in line once. again is set when that has changed the catalog.
func (r *runner) round(ctx context.Context) (again bool, err error) {
	p := r.projection
	c, err := p.current(ctx)
	if err != nil {
		return false, err
	}
	if err := r.arrange(ctx, c); err != nil {
		return false, err
	}
	r.busy = c.Building != nil || c.Switch != 0 || len(c.Dropping) > 0
	if c.Paused {
		return false, nil
	}
	if len(c.Dropping) > 0 {
		if again, err = p.remove(ctx, c.Dropping[0]); err != nil || again {
			return again, err
		}
	}
	if c.Switch != 0 {
		return r.turn(ctx, c)
	}
	if c.Building != nil && p.runs(*c.Building) {
		return r.watch(ctx, c)
	}
	return false, nil
}

// arrange starts and stops makings.
func (r *runner) arrange(ctx context.Context, c *catalog) error {
	p := r.projection
	for number, m := range r.running {
		_, wanted := c.find(number)
		select {
		case <-m.done:
			if wanted && !c.Paused && !r.mayRetry(ctx, m) {
				continue // it is faulted, until somebody resumes it
			}
		default:
			if wanted && !c.Paused {
				continue
			}
		}
		m.end()
		delete(r.running, number)
	}
	if c.Paused {
		return nil
	}
	for _, g := range c.followed() {
		if !p.runs(g) || r.running[g.Number] != nil {
			continue
		}
		m, err := r.start(ctx, g, c.Building != nil && c.Building.Number == g.Number)
		if err != nil {
			return fmt.Errorf("start generation %d: %w", g.Number, err)
		}
		r.running[g.Number] = m
	}
	return nil
}

// mayRetry reports whether a making that has ended with an error may be started again.
func (r *runner) mayRetry(ctx context.Context, m *making) bool {
	if m.err == nil {
		return true
	}
	status, err := subscription.NewControl(r.projection.store).Status(ctx, m.generation.subscription(r.projection.name))
	return err == nil && status.State != subscription.StateFaulted
}

func (m *making) end() {
	m.stop()
	<-m.done
}

func (r *runner) stopAll() {
	for _, m := range r.running {
		m.stop()
	}
	for _, m := range r.running {
		<-m.done
	}
}

// start begins to make a generation, one that is being built or one that is there.
func (r *runner) start(ctx context.Context, g Generation, building bool) (*making, error) {
	p := r.projection
	if p.options.Create != nil {
		if err := p.transact(ctx, func(ctx context.Context) error { return p.options.Create(ctx, g) }); err != nil {
			return nil, fmt.Errorf("create: %w", err)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	m := &making{generation: g, stop: stop, done: make(chan struct{})}
	if g.Mode == Inline {
		go func() {
			defer close(m.done)
			p.keepUp(ctx, g, r.poke)
		}()
		return m, nil
	}
	s, err := r.subscribe(ctx, g, building)
	if err != nil {
		stop()
		return nil, err
	}
	go func() {
		select {
		case <-s.CaughtUp():
			r.poke()
		case <-m.done:
		}
	}()
	go func() {
		defer r.poke()
		defer close(m.done)
		if m.err = s.Run(ctx); m.err != nil {
			p.report(m.err)
		}
	}()
	return m, nil
}

// transact runs fn in a transaction where the projection works in transactions.
func (p *Projection) transact(ctx context.Context, fn func(ctx context.Context) error) error {
	if p.options.Transaction {
		return p.store.Transact(ctx, fn)
	}
	return fn(ctx)
}

// report tells of an error, unless it only says that something was stopped.
func (p *Projection) report(err error) {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, ErrGone) {
		p.options.OnError(err)
	}
}

func (r *runner) subscribe(ctx context.Context, g Generation, building bool) (*subscription.Subscription, error) {
	p, o := r.projection, r.projection.options
	routes, err := p.routing()
	if err != nil {
		return nil, err
	}
	size := o.BatchEvents
	if building {
		size = o.RebuildBatchEvents
	}
	f := &feed{projection: p, generation: g, size: size, needs: r.needs, stop: ctx.Done(), lanes: map[int]*lane{}}
	return subscription.New(p.store, g.subscription(p.name), f, subscription.Options{
		Filter: routes.filter, Partitions: g.Partitions, BatchEvents: size,
		CheckpointEvery: o.CheckpointEvery, CheckpointInterval: o.CheckpointInterval, PollInterval: o.PollInterval,
		Lease: o.Lease, Owner: o.Owner, Retry: o.Retry, Failure: o.Failure, Skew: o.Skew, Hooks: o.Hooks, DeadLetters: o.DeadLetters,
		Source: g.source(p.name), OnError: p.report, Now: o.Now,
	})
}

// keepUp brings an inline generation to the head, and again whenever something has left it behind.
func (p *Projection) keepUp(ctx context.Context, g Generation, reached func()) {
	for {
		err := p.catchUp(ctx, g)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.report(fmt.Errorf("projection %s: %w", p.name, err))
			if err := p.noteFault(ctx, g, err); err != nil {
				p.report(fmt.Errorf("projection %s: %w", p.name, err))
			}
		default:
			reached()
		}
		if wait(ctx, nil, p.options.PollInterval) != nil {
			return
		}
	}
}
