package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"lexigram.dev/events/store"
)

// catalogBucket holds one record for each projection, by name.
const catalogBucket = "projections"

const catalogFormat = 1

// catalog is the record that says which generations there are, and what shall become of them. Those that run the
// projection make it so. It changes by compare-and-set only.
type catalog struct {
	Format   int          `json:"format"`
	Live     Generation   `json:"live"`
	Previous []Generation `json:"previous,omitempty"` // the newest first; they follow
	Building *Generation  `json:"building,omitempty"`
	Dropping []Generation `json:"dropping,omitempty"` // to be removed
	Next     int64        `json:"next"`               // number of the next generation
	Switch   int64        `json:"switch,omitempty"`   // the generation to make live; 0: none
	Paused   bool         `json:"paused,omitempty"`
	Fixed    bool         `json:"fixed,omitempty"` // cannot be rebuilt

	revision store.Revision
}

// maxTries bounds how often a change of a record is tried while others change it, too.
const maxTries = 20

func loadCatalog(ctx context.Context, s *store.Store, name string) (*catalog, error) {
	r, err := s.Get(ctx, catalogBucket, name)
	if err != nil {
		return nil, err
	}
	return decodeCatalog(r)
}

func decodeCatalog(r store.Record) (*catalog, error) {
	c := &catalog{revision: r.Revision}
	if err := json.Unmarshal(r.Value, c); err != nil {
		return nil, fmt.Errorf("record of projection %s: %w: %w", r.Key, store.ErrCorrupt, err)
	}
	if c.Format != catalogFormat {
		return nil, fmt.Errorf("record of projection %s: %w: format %d, this program knows %d", r.Key, store.ErrIncompatible, c.Format, catalogFormat)
	}
	if c.Live.Number < 1 || c.Next <= c.Live.Number {
		return nil, fmt.Errorf("record of projection %s: %w: live generation %d, next %d", r.Key, store.ErrCorrupt, c.Live.Number, c.Next)
	}
	return c, nil
}

func (c *catalog) put(name string) (store.Op, error) {
	value, err := json.Marshal(c)
	return store.Put(catalogBucket, name, value).When(store.IfRevision(c.revision)), err
}

// current reads the catalog. What was decoded once is not decoded again. The caller must not change it.
func (p *Projection) current(ctx context.Context) (*catalog, error) {
	r, err := p.store.Get(ctx, catalogBucket, p.name)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("projection %s has never been run: %w", p.name, err)
		}
		return nil, err
	}
	if known := p.catalog.Load(); known != nil && known.revision == r.Revision {
		return known, nil
	}
	c, err := decodeCatalog(r)
	if err != nil {
		return nil, err
	}
	p.catalog.Store(c)
	return c, nil
}

// errUnchanged ends a change that turns out to be none.
var errUnchanged = errors.New("nothing to change")

// change changes the catalog of a projection; the operations that fn gives are done in the same unit. fn is called again
// when somebody else was faster.
func change(ctx context.Context, s *store.Store, name string, fn func(c *catalog) ([]store.Op, error)) (*catalog, error) {
	for tries := 0; ; tries++ {
		c, err := loadCatalog(ctx, s, name)
		if err != nil {
			return nil, err
		}
		ops, err := fn(c)
		if errors.Is(err, errUnchanged) {
			return c, nil
		}
		if err != nil {
			return nil, err
		}
		put, err := c.put(name)
		if err != nil {
			return nil, err
		}
		_, err = s.Apply(ctx, append([]store.Op{put}, ops...)...)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, store.ErrConflict) || tries == maxTries {
			return nil, err
		}
	}
}

// build adds the next generation, and gives the operations that open its gates.
func (c *catalog) build(name string, g Generation) []store.Op {
	g.Number = c.Next
	c.Next++
	c.Building = &g
	return openGates(name, g)
}

// drop puts generations on the list of what is to be removed, and gives the operations that close their gates for good.
func (c *catalog) drop(name string, generations ...Generation) []store.Op {
	var ops []store.Op
	for _, g := range generations {
		c.Dropping = append(c.Dropping, g)
		ops = append(ops, removeGates(name, g)...)
	}
	return ops
}

// cancel drops what is being built, and takes a switch that is asked for back.
func (c *catalog) cancel(name string) []store.Op {
	var ops []store.Op
	if c.Switch != 0 {
		c.Switch = 0
		ops = openGates(name, c.Live)
	}
	if c.Building != nil {
		g := *c.Building
		c.Building = nil
		ops = append(ops, c.drop(name, g)...)
	}
	return ops
}

// followed are the generations that are kept up to date.
func (c *catalog) followed() []Generation {
	all := append([]Generation{c.Live}, c.Previous...)
	if c.Building != nil {
		all = append(all, *c.Building)
	}
	return all
}

// find gives a followed generation.
func (c *catalog) find(number int64) (Generation, bool) {
	for _, g := range c.followed() {
		if g.Number == number {
			return g, true
		}
	}
	return Generation{}, false
}

// enthrone makes a followed generation the live one. The one that was live is kept, with keep − 1 before it.
func (c *catalog) enthrone(name string, g Generation, keep int) []store.Op {
	former := c.Live
	c.Live, c.Switch = g, 0
	if c.Building != nil && c.Building.Number == g.Number {
		c.Building = nil
	}
	c.Previous = slices.DeleteFunc(c.Previous, func(p Generation) bool { return p.Number == g.Number })
	c.Previous = append([]Generation{former}, c.Previous...)
	ops := openGates(name, former)
	if surplus := len(c.Previous) - max(keep, 0); surplus > 0 {
		dropped := slices.Clone(c.Previous[len(c.Previous)-surplus:])
		c.Previous = c.Previous[:len(c.Previous)-surplus]
		if keep < 1 { // the former has gates to be removed, not opened
			ops = nil
		}
		ops = append(ops, c.drop(name, dropped...)...)
	}
	return ops
}
