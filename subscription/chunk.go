package subscription

import (
	"sync/atomic"

	"lexigram.dev/events/event"
)

// chunk is what the feed hands to a worker: some events of its partition, and how far the log was read.
type chunk struct {
	events     []event.Recorded
	passed     event.Position // all events of the partition up to here are in this chunk or in those before
	generation int            // of the request that it answers
	head       bool           // passed is the end of the log as it was
}

// queuedChunks is how many chunks wait for a worker: enough for reading and handling to overlap.
const queuedChunks = 3

// lane connects the feed with the worker of one partition.
type lane struct {
	queue chan chunk
	free  chan []event.Recorded // slices to fill again
	wake  chan struct{}         // capacity 1: there is something to look at beside the queue
	gone  chan struct{}         // closed when the worker has ended

	idle     atomic.Bool // the worker waits for a chunk
	detached atomic.Bool // the feed has passed events that did not fit into the queue, and sends no more
}

func newLane() *lane {
	return &lane{
		queue: make(chan chunk, queuedChunks),
		free:  make(chan []event.Recorded, queuedChunks+2),
		wake:  make(chan struct{}, 1),
		gone:  make(chan struct{}),
	}
}

// poke makes the worker look.
func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take gives an empty slice for events.
func (l *lane) take(size int) []event.Recorded {
	select {
	case events := <-l.free:
		return events[:0]
	default:
		return make([]event.Recorded, 0, size)
	}
}

// give hands a slice back, whose events were given out by value.
func (l *lane) give(events []event.Recorded) {
	if events == nil {
		return
	}
	select {
	case l.free <- events:
	default:
	}
}
