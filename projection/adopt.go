package projection

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/store"
)

// adopt makes the record of a projection that runs for the first time, or brings it in line with the code.
func (p *Projection) adopt(ctx context.Context) error {
	first := &catalog{Format: catalogFormat, Live: p.generation(1), Next: 2, Fixed: p.fixed()}
	put, err := first.put(p.name)
	if err != nil {
		return err
	}
	_, err = p.store.Apply(ctx, append([]store.Op{put}, openGates(p.name, first.Live)...)...)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	_, err = change(ctx, p.store, p.name, p.renew)
	return err
}

// generation is what this code would make.
func (p *Projection) generation(number int64) Generation {
	g := Generation{
		Number: number, Version: p.options.Version, Mode: p.options.Mode, Partitions: p.options.Partitions,
		CreatedAt: p.options.Now().UTC(),
	}
	for _, d := range p.documents {
		g.Documents = append(g.Documents, d.kindName())
	}
	return g
}

// renew begins to build the version of this code if that is newer than all there are. Older code leaves things as they
// are, so that programs of two releases may run at the same time.
func (p *Projection) renew(c *catalog) ([]store.Op, error) {
	newest := c.Live.Version
	for _, g := range c.followed() {
		newest = max(newest, g.Version)
		if g.Version == p.options.Version && g.Mode != p.options.Mode {
			return nil, fmt.Errorf("version %d is %s in the store, and %s in the code: raise Options.Version to change the mode", g.Version, g.Mode, p.options.Mode)
		}
	}
	switch {
	case p.options.Version < newest:
		return nil, errUnchanged
	case p.options.Version == newest && c.Fixed == p.fixed():
		return nil, errUnchanged
	}
	c.Fixed = p.fixed()
	if p.options.Version == newest {
		return nil, nil
	}
	if c.Fixed {
		return nil, fmt.Errorf("version %d beside version %d: %w", p.options.Version, c.Live.Version, ErrFixed)
	}
	ops := c.cancel(p.name)
	return append(ops, c.build(p.name, p.generation(0))...), nil
}

// runs reports whether this code can make a generation.
func (p *Projection) runs(g Generation) bool {
	return g.Version == p.options.Version && g.Mode == p.options.Mode
}
