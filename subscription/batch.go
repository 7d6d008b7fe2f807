package subscription

import (
	"context"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Batch is what a Processor handles at once: events of one partition in the order of their positions, at least one. It
// must not be used after Process has returned.
type Batch struct {
	Partition int // from 0
	Events    []event.Recorded

	fence     *fence     // of the partition's checkpoint
	also      []store.Op // done by Commit too
	stay      bool       // Commit leaves the checkpoint where it is: the events are retried dead letters
	done      int
	committed bool
}

// Done says that the first n events are handled. The subscription writes the checkpoint later, as its options say.
func (b *Batch) Done(n int) { b.done = max(b.done, min(n, len(b.Events))) }

// Commit applies the operations and moves the checkpoint behind the last event of the batch, all or nothing. Called with
// the context of a transaction (store.Transact), it becomes part of it: return the transaction's error from Process.
// It gives ErrFenced when another owner has taken the partition over; nothing is changed then. It may be called once.
func (b *Batch) Commit(ctx context.Context, ops ...store.Op) error {
	if b.fence == nil {
		return fmt.Errorf("commit a batch: %w: it is not of a running subscription, or is handled already", store.ErrInvalid)
	}
	if b.fence.touched {
		return fmt.Errorf("commit a batch: %w: it was called before for this batch", store.ErrInvalid)
	}
	b.fence.touched = true
	if len(b.also) > 0 {
		ops = append(append([]store.Op(nil), b.also...), ops...)
	}
	last := b.Events[len(b.Events)-1].Position
	var err error
	if b.stay {
		err = b.fence.check(ctx, ops)
	} else {
		err = b.fence.commit(ctx, last, ops)
	}
	if err != nil {
		return fmt.Errorf("commit %d events up to position %d: %w", len(b.Events), last, err)
	}
	b.committed = true
	return nil
}
