package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// Control steers projections by name, from whichever process and without their code: it writes what shall be to the store,
// and those that run the projection make it so, within their PollInterval. It is safe for concurrent use.
type Control struct {
	store *store.Store
}

// NewControl gives the control over the projections of a store.
func NewControl(s *store.Store) *Control { return &Control{store: s} }

// RebuildOptions are the settings of a rebuild; the zero value works.
type RebuildOptions struct {
	// Partitions is how many parts of the streams the new generation handles at the same time, also later. Defaults to
	// those of the live one.
	Partitions int
}

// List yields the status of each projection that has ever run, by name.
func (c *Control) List(ctx context.Context) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		names, err := c.names(ctx)
		if err != nil {
			yield(Status{}, fmt.Errorf("list projections: %w", err))
			return
		}
		for _, name := range names {
			if !yield(c.Status(ctx, name)) {
				return
			}
		}
	}
}

func (c *Control) names(ctx context.Context) ([]string, error) {
	var names []string
	for r, err := range c.store.Scan(ctx, store.Scan{Bucket: catalogBucket}) {
		if err != nil {
			return nil, err
		}
		names = append(names, r.Key)
	}
	return names, nil
}

// explain says what was done to which projection, and for an unknown one which there are.
func (c *Control) explain(ctx context.Context, what, name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) && name == "" {
		if names, unreadable := c.names(ctx); unreadable == nil {
			err = &UnknownError{Name: name, Known: names}
		}
	}
	return fmt.Errorf("%s projection %s: %w", what, name, err)
}

// Rebuild makes the next generation of the read model begin, and returns its number. The live one serves on, until the new
// one is as far and takes its place. Only one is built at a time: else the error is ErrBuilding.
func (c *Control) Rebuild(ctx context.Context, name string, o RebuildOptions) (generation int64, err error) {
	_, err = change(ctx, c.store, name, func(c *catalog) ([]store.Op, error) {
		switch {
		case c.Fixed:
			return nil, ErrFixed
		case c.Building != nil:
			return nil, fmt.Errorf("%w: generation %d, begun at %s", ErrBuilding, c.Building.Number, c.Building.CreatedAt.Format(time.RFC3339))
		case c.Switch != 0:
			return nil, fmt.Errorf("%w: generation %d is about to take over", ErrBuilding, c.Switch)
		}
		g := c.Live
		g.CreatedAt = time.Now().UTC()
		if o.Partitions != 0 {
			g.Partitions = o.Partitions
		}
		if g.Partitions < 1 || g.Mode == Inline && g.Partitions > 1 {
			return nil, fmt.Errorf("%w: %d partitions", store.ErrInvalid, g.Partitions)
		}
		generation = c.Next
		return c.build(name, g), nil
	})
	return generation, c.explain(ctx, "rebuild", name, err)
}

// Cancel ends a rebuild: what was built is removed, and the live generation serves on. It also takes a SwitchBack back that
// has not come about.
func (c *Control) Cancel(ctx context.Context, name string) error {
	_, err := change(ctx, c.store, name, func(c *catalog) ([]store.Op, error) {
		if c.Building == nil && c.Switch == 0 {
			return nil, ErrNotBuilding
		}
		return c.cancel(name), nil
	})
	return c.explain(ctx, "cancel the rebuild of", name, err)
}

// SwitchBack makes the generation before the live one live again, and returns its number. It is as far as the live one,
// if a process runs its version; else the switch waits for one. The one that was live stays as a previous one.
func (c *Control) SwitchBack(ctx context.Context, name string) (generation int64, err error) {
	_, err = change(ctx, c.store, name, func(c *catalog) ([]store.Op, error) {
		switch {
		case len(c.Previous) == 0:
			return nil, ErrNoPrevious
		case c.Switch != 0:
			return nil, fmt.Errorf("%w: generation %d is about to take over", ErrBuilding, c.Switch)
		}
		generation = c.Previous[0].Number
		c.Switch = generation
		return nil, nil
	})
	return generation, c.explain(ctx, "switch back", name, err)
}

// DropPrevious removes the generations before the live one.
func (c *Control) DropPrevious(ctx context.Context, name string) error {
	_, err := change(ctx, c.store, name, func(c *catalog) ([]store.Op, error) {
		if len(c.Previous) == 0 {
			return nil, ErrNoPrevious
		}
		var ops []store.Op
		for _, g := range c.Previous {
			if g.Number == c.Switch {
				c.Switch = 0
				ops = append(ops, openGates(name, c.Live)...)
			}
		}
		ops = append(ops, c.drop(name, c.Previous...)...)
		c.Previous = nil
		return ops, nil
	})
	return c.explain(ctx, "drop the previous generations of", name, err)
}

// Pause stops the handling of events, of all generations, also across restarts, until Resume. Readers are served.
func (c *Control) Pause(ctx context.Context, name string) error {
	_, err := change(ctx, c.store, name, func(c *catalog) ([]store.Op, error) {
		if c.Paused {
			return nil, errUnchanged
		}
		c.Paused = true
		return nil, nil
	})
	return c.explain(ctx, "pause", name, err)
}

// Resume ends a pause. It also lets a faulted projection try again.
func (c *Control) Resume(ctx context.Context, name string) error {
	found, err := change(ctx, c.store, name, func(c *catalog) ([]store.Op, error) {
		if !c.Paused {
			return nil, errUnchanged
		}
		c.Paused = false
		return nil, nil
	})
	if err == nil {
		for _, g := range found.followed() {
			resume := subscription.NewControl(c.store).Resume(ctx, g.subscription(name))
			if resume != nil && !errors.Is(resume, store.ErrNotFound) {
				err = errors.Join(err, resume)
			}
		}
	}
	return c.explain(ctx, "resume", name, err)
}

// Reset clears the read model: a new, empty generation is live at once and begins at the start of the log. All others,
// also one that is being built, are removed. Rebuild keeps serving instead.
func (c *Control) Reset(ctx context.Context, name string) error {
	_, err := change(ctx, c.store, name, func(c *catalog) ([]store.Op, error) {
		if c.Fixed {
			return nil, ErrFixed
		}
		old := c.followed()
		c.Live.Number, c.Live.CreatedAt = c.Next, time.Now().UTC()
		c.Next++
		c.Previous, c.Building, c.Switch = nil, nil, 0
		return append(openGates(name, c.Live), c.drop(name, old...)...), nil
	})
	return c.explain(ctx, "reset", name, err)
}

// followPoll is how often Follow and WaitFor look.
const followPoll = 50 * time.Millisecond

// Follow waits until a generation is live, and meanwhile hands on the reports of its progress. It gives ErrCancelled when
// the generation is dropped, and an error when it has failed for good.
func (c *Control) Follow(ctx context.Context, name string, generation int64, report func(Progress)) error {
	return c.explain(ctx, "follow", name, c.follow(ctx, name, generation, report))
}

func (c *Control) follow(ctx context.Context, name string, generation int64, report func(Progress)) error {
	for last := (Progress{}); ; {
		found, err := loadCatalog(ctx, c.store, name)
		if err != nil {
			return err
		}
		g, there := found.find(generation)
		switch {
		case !there:
			return fmt.Errorf("generation %d: %w", generation, ErrCancelled)
		case found.Live.Number == generation:
			return nil
		}
		progress, err := loadProgress(ctx, c.store, name)
		if err != nil {
			return err
		}
		if progress.Generation == generation && progress != last && report != nil {
			report(progress)
		}
		last = progress
		s := Status{Name: name}
		if err := c.fare(ctx, &s, g); err != nil {
			return err
		}
		if s.State == StateFaulted {
			return fmt.Errorf("generation %d is faulted: %s", generation, s.Error)
		}
		if err := wait(ctx, nil, followPoll); err != nil {
			return err
		}
	}
}

// Live gives the generation that readers see: for read models outside of documents, whose tables are named after it.
func (p *Projection) Live(ctx context.Context) (Generation, error) {
	c, err := p.current(ctx)
	if err != nil {
		return Generation{}, err
	}
	return c.Live, nil
}

// WaitFor waits until the live generation holds all events up to a position, whichever process runs it. So a caller can
// read what it has just written.
func (p *Projection) WaitFor(ctx context.Context, position event.Position) error {
	for {
		g, err := p.Live(ctx)
		var reached event.Position
		if err == nil {
			reached, _, err = positions(ctx, p.store, p.name, g)
		}
		if err == nil && reached >= position {
			return nil
		}
		if err == nil || errors.Is(err, store.ErrNotFound) { // that would be one that has not begun yet
			err = wait(ctx, nil, gatePoll)
		}
		if err != nil {
			return fmt.Errorf("wait for projection %s to reach position %d: %w", p.name, position, err)
		}
	}
}
