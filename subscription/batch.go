package subscription

import (
	"context"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Batch is what a Processor handles at once: events of one partition in the order of their positions, at least one. It
// must not be used after Process has returned.
type Batch struct {
	Partition int // from 0
	Events    []event.Recorded

	fence *fence // of the partition's checkpoint
	done  int
}

// Done says that the first n events are handled. The subscription writes the checkpoint later, as its options say.
func (b *Batch) Done(n int) { b.done = max(b.done, n) }

// Commit applies the operations and moves the checkpoint behind the last event of the batch, all or nothing. Called with
// the context of a transaction (store.Transact), it becomes part of it: return the transaction's error from Process.
// It gives ErrFenced when another owner has taken the partition over; nothing is changed then. It may be called once.
func (b *Batch) Commit(ctx context.Context, ops ...store.Op) error {
	return b.fence.commit(ctx, b.Events[len(b.Events)-1].Position, ops)
}
