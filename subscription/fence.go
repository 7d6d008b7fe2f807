package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// fence writes the checkpoint of one partition on behalf of one owner. Each write expects the revision of the one
// before, and a new owner changes the record before it does anything else; so from then on no write of an earlier owner
// gets through. That needs no more of a backend than compare-and-set of one record. It is used by one goroutine.
type fence struct {
	store     *store.Store
	name      string
	partition int
	key       string
	now       func() time.Time

	checkpoint                // as it was last known to be stored
	revision   store.Revision // of that
	uncertain  bool           // the outcome of a write is unknown: load before the next one

	touched bool        // Commit was called for the batch at hand
	staged  *checkpoint // what Commit has written, until Process has returned
	written store.Revision
}

func newFence(s *store.Store, name string, partition, partitions int, owner string, epoch int64, now func() time.Time) *fence {
	return &fence{
		store: s, name: name, partition: partition, key: partitionKey(name, partition), now: now,
		checkpoint: checkpoint{Partitions: partitions, Owner: owner, Epoch: epoch},
	}
}

// adopt makes the stored checkpoint the owner's own. It gives ErrFenced when a later owner has done so already.
func (f *fence) adopt(ctx context.Context) error {
	for {
		c, revision, err := loadCheckpoint(ctx, f.store, f.name, f.partition, f.Partitions)
		if err != nil {
			return err
		}
		if c.Epoch > f.Epoch {
			return f.fenced(c)
		}
		c.Epoch, c.Owner = f.Epoch, f.Owner // the place and its time stay
		revisions, err := f.store.Apply(ctx, c.put(f.key).When(store.IfRevision(revision)))
		if err == nil {
			f.checkpoint, f.revision, f.uncertain = c, revisions[0], false
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		// The owner before, or an operator, was faster.
	}
}

// load reads what is stored, after a write whose outcome is not known or that was refused. reset is set when somebody
// else has moved the place.
func (f *fence) load(ctx context.Context) (reset bool, err error) {
	c, revision, err := loadCheckpoint(ctx, f.store, f.name, f.partition, f.Partitions)
	if err != nil {
		return false, err
	}
	if c.Epoch != f.Epoch {
		return false, f.fenced(c)
	}
	// A place before the one that was written for sure: a transaction that was thought to be committed was not.
	reset = c.Resets != f.Resets || c.Position < f.Position
	f.checkpoint, f.revision, f.uncertain = c, revision, false
	return reset, nil
}

func (f *fence) fenced(c checkpoint) error {
	return fmt.Errorf("checkpoint %s: %w: %s, epoch %d", f.key, ErrFenced, c.Owner, c.Epoch)
}

// next is the checkpoint at a position.
func (f *fence) next(position event.Position) checkpoint {
	c := f.checkpoint
	c.Position, c.MovedAt = position, f.now().UTC()
	return c
}

// write moves the checkpoint, together with the operations. A conflict at the checkpoint is ErrFenced; load tells more.
func (f *fence) write(ctx context.Context, position event.Position, ops ...store.Op) error {
	c := f.next(position)
	revisions, err := f.apply(ctx, c.put(f.key).When(store.IfRevision(f.revision)), ops)
	if err != nil {
		f.uncertain = !errors.Is(err, store.ErrConflict) || errors.Is(err, ErrFenced)
		return err
	}
	f.checkpoint, f.revision = c, revisions[0]
	return nil
}

// check does the operations if the checkpoint is still the owner's, and leaves it where it is.
func (f *fence) check(ctx context.Context, ops []store.Op) error {
	_, err := f.apply(ctx, store.Check(checkpointBucket, f.key, store.IfRevision(f.revision)), ops)
	return err
}

func (f *fence) apply(ctx context.Context, own store.Op, ops []store.Op) ([]store.Revision, error) {
	revisions, err := f.store.Apply(ctx, append([]store.Op{own}, ops...)...)
	var conflict *store.RevisionError
	if errors.As(err, &conflict) && conflict.Bucket == checkpointBucket && conflict.Key == f.key {
		return nil, fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return revisions, err
}

// commit is write for a Processor, whose transaction may still be undone: it counts when Process has returned.
func (f *fence) commit(ctx context.Context, position event.Position, ops []store.Op) error {
	c := f.next(position)
	revisions, err := f.apply(ctx, c.put(f.key).When(store.IfRevision(f.revision)), ops)
	if err == nil {
		f.staged, f.written = &c, revisions[0]
	}
	return err
}

// begin is called before each batch, settle after one that was handled without an error.
func (f *fence) begin() { f.touched, f.staged = false, nil }

func (f *fence) settle() {
	if f.staged != nil {
		f.checkpoint, f.revision, f.staged = *f.staged, f.written, nil
	}
}
