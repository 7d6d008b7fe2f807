package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/store"
)

// gateBucket holds a record for each partition of each followed generation. Every write to the read model checks the
// revision of its partition's gate in the same unit. So to change the gates is to be sure, at once, that no write that began
// before comes through: while one generation takes another's place its gates are held, and those of a generation that is
// dropped are removed. A gate for each partition, since all who check one record wait for each other in some backends.
const gateBucket = "projections.gates"

const (
	gateOpen = "open"
	gateHeld = "held"
)

// gatePoll is how often a held gate is looked at.
const gatePoll = 10 * time.Millisecond

func gateName(projection string, g Generation, partition int) string {
	return fmt.Sprintf("%s@%d/%d", projection, g.Number, partition)
}

func openGates(projection string, g Generation) []store.Op { return setGates(projection, g, gateOpen) }

func holdGates(projection string, g Generation) []store.Op { return setGates(projection, g, gateHeld) }

func setGates(projection string, g Generation, state string) []store.Op {
	ops := make([]store.Op, g.Partitions)
	for i := range ops {
		ops[i] = store.Put(gateBucket, gateName(projection, g, i), []byte(state))
	}
	return ops
}

func removeGates(projection string, g Generation) []store.Op {
	ops := make([]store.Op, g.Partitions)
	for i := range ops {
		ops[i] = store.Delete(gateBucket, gateName(projection, g, i))
	}
	return ops
}

// gate is what a writer knows of its gate. It is used by one goroutine.
type gate struct {
	store *store.Store
	name  string
	seen  store.Revision // of the open gate; 0: it must be looked at
}

// check gives the operation that fails unless the gate is as it was seen.
func (g *gate) check() store.Op {
	return store.Check(gateBucket, g.name, store.IfRevision(g.seen))
}

// refused reports whether a write has failed since the gate has changed. It is looked at again then.
func (g *gate) refused(err error) bool {
	var conflict *store.RevisionError
	if errors.As(err, &conflict) && conflict.Bucket == gateBucket && conflict.Key == g.name {
		g.seen = 0
		return true
	}
	return false
}

// enter waits until the gate is open. It gives ErrGone where there is none.
func (g *gate) enter(ctx context.Context, stop <-chan struct{}) error {
	for g.seen == 0 {
		open, err := g.look(ctx)
		if err != nil || open {
			return err
		}
		if err := wait(ctx, stop, gatePoll); err != nil {
			return err
		}
	}
	return nil
}

func (g *gate) look(ctx context.Context) (open bool, err error) {
	r, err := g.store.Get(ctx, gateBucket, g.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, fmt.Errorf("write to %s: %w", g.name, ErrGone)
	case err != nil:
		return false, err
	case string(r.Value) == gateOpen:
		g.seen = r.Revision
		return true, nil
	}
	return false, nil
}

// wait waits for a time, unless it is stopped.
func wait(ctx context.Context, stop <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-stop:
		return context.Canceled
	}
}
