package subscription

import (
	"context"

	"lexigram.dev/events/event"
)

// Processor handles the events of a subscription. It is called by one goroutine for each partition; calls for different
// partitions run at the same time.
type Processor interface {
	// Process handles the events of the batch in order. It either handles them one by one and says so by Batch.Done, or
	// writes the effects of them all by Batch.Commit. An error means that the events which are not done have failed:
	// the subscription then tries them one at a time, each in a batch of its own, and applies its failure policy.
	// What was committed before an error counts as done.
	Process(ctx context.Context, b *Batch) error
}

// Owner is a Processor that does more for a partition than handle its events, for as long as this process owns it.
type Owner interface {
	Processor

	// Own is called when the partition was taken over, before its first event. ctx ends when the lease is lost, or when
	// the grace is over. release is called after the last event, and the partition is given back when it returns.
	Own(ctx context.Context, partition int) (release func())
}

// Handler handles one event.
type Handler func(ctx context.Context, e event.Recorded) error

// Process implements Processor: the events are handled one by one, at least once.
func (h Handler) Process(ctx context.Context, b *Batch) error {
	for i := range b.Events {
		if err := h(ctx, b.Events[i]); err != nil {
			return err
		}
		b.Done(i + 1)
	}
	return nil
}
