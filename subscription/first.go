package subscription

import (
	"context"
	"fmt"

	"lexigram.dev/events/store"
)

// CommitFirst is Commit for the first n events of the batch: for a processor whose effects of them all do not fit into one
// unit. Calling it again, with a greater n, says that what was committed before is there for good, also where that was in a
// transaction. After an error nothing was committed by this call, as far as the backend knows, and it may be called again.
func (b *Batch) CommitFirst(ctx context.Context, n int, ops ...store.Op) error {
	if b.fence == nil || n < 1 || n > len(b.Events) {
		return fmt.Errorf("commit %d of %d events: %w: the batch is handled already, or has not so many", n, len(b.Events), store.ErrInvalid)
	}
	b.fence.settle()
	b.fence.touched = true
	if n == len(b.Events) && len(b.also) > 0 {
		ops = append(append([]store.Op(nil), b.also...), ops...)
	}
	last := b.Events[n-1].Position
	var err error
	if b.stay {
		err = b.fence.check(ctx, ops)
	} else {
		err = b.fence.commit(ctx, last, ops)
	}
	if err != nil {
		return fmt.Errorf("commit %d events up to position %d: %w", n, last, err)
	}
	b.committed = n == len(b.Events)
	return nil
}

// Epoch tells under which ownership of the partition the batch is handled: it grows with each owner. A processor that keeps
// what it knows between batches forgets it when the epoch is another.
// 0: the batch is not of a running subscription, or is handled already.
func (b *Batch) Epoch() int64 {
	if b.fence == nil {
		return 0
	}
	return b.fence.Epoch
}

// Exact is a Processor whose error is about exactly one event: all before it are handled, by Done or CommitFirst. So the
// events behind it need not be tried one at a time.
type Exact interface {
	Processor

	// Exact does nothing. It says that the promise is meant.
	Exact()
}

// Exact implements the interface of that name.
func (h Handler) Exact() {}
