package subscription

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// checkpointSpacing is the least time between two checkpoints that are not written by a Processor: at full speed they
// would cost more than they save.
const checkpointSpacing = 50 * time.Millisecond

// worker handles one partition while this process owns it. What is not said to be shared belongs to its goroutine.
type worker struct {
	*Subscription

	partition int
	lease     *lease.Lease
	fence     *fence
	feed      *feed
	lane      *lane
	gate      *gate
	report    *report // shared

	recheck atomic.Bool        // shared: somebody may have moved the checkpoint
	letters atomic.Bool        // shared: retries of dead letters were asked for
	retire  context.CancelFunc // makes it stop after the batch at hand
	abandon context.CancelFunc // ends the context of the batch at hand
	expiry  *time.Timer        // calls abandon when the lease was not renewed in time

	position   event.Position // all up to here is handled
	generation int            // of the request to the feed; older chunks are void
	size       int            // of the next batch
	since      int            // events handled since the checkpoint was written
	writtenAt  time.Time
	blocked    map[event.StreamID]bool // streams of which letters are parked; nil: not of this policy
	singles    int                     // so many events are tried one at a time, since a batch with them has failed
}

// work handles the partition until stop is closed, the lease is over (ctx ends), or it cannot go on.
func (w *worker) work(ctx context.Context, stop <-chan struct{}) error {
	defer close(w.lane.gone)
	if err := w.begin(ctx, stop); err != nil {
		return w.end(ctx, err)
	}
	if o, ok := w.processor.(Owner); ok {
		release := o.Own(ctx, w.partition)
		defer release()
	}
	w.request()
	due := time.NewTimer(w.o.CheckpointInterval)
	defer due.Stop()
	for {
		err := w.ready(ctx, stop)
		if err == nil {
			err = w.retryLetters(ctx, stop)
		}
		if err == nil {
			err = w.await(ctx, stop, due)
		}
		if errors.Is(err, errMoved) {
			w.request()
		} else if err != nil {
			return w.end(ctx, err)
		}
	}
}

// await handles the next chunk, or sees that there is something else to do.
func (w *worker) await(ctx context.Context, stop <-chan struct{}, due *time.Timer) error {
	if len(w.lane.queue) == 0 && w.lane.detached.Load() {
		w.request()
	}
	w.lane.idle.Store(true)
	defer w.lane.idle.Store(false)
	select {
	case c := <-w.lane.queue:
		w.lane.idle.Store(false)
		return w.take(ctx, stop, c)
	case <-w.lane.wake:
	case <-due.C:
		w.save(ctx)
		due.Reset(w.o.CheckpointInterval)
	case <-stop:
	case <-ctx.Done():
	}
	return nil
}

// begin takes the checkpoint over and finds out which streams are blocked.
func (w *worker) begin(ctx context.Context, stop <-chan struct{}) error {
	err := w.persevere(ctx, stop, func() error { return w.fence.adopt(ctx) })
	if err != nil {
		return err
	}
	w.position, w.writtenAt, w.size = w.fence.Position, time.Now(), min(w.o.BatchEvents, w.o.CheckpointEvery)
	w.progress.set(w.partition, w.position)
	if !w.o.ordersLetters() {
		return nil
	}
	err = w.persevere(ctx, stop, func() error {
		w.blocked = map[event.StreamID]bool{}
		for sequence, err := range w.o.DeadLetters.BlockedSequences(ctx, w.o.Source) {
			if err != nil {
				return err
			}
			if stream := event.StreamID(sequence); PartitionOf(stream, w.o.Partitions) == w.partition {
				w.blocked[stream] = true
			}
		}
		return nil
	})
	if err != nil || len(w.blocked) == 0 {
		return err
	}
	return w.persevere(ctx, stop, func() error { return w.retrySkewed(ctx) })
}

// request makes the feed send what follows the position, and voids what it has sent before.
func (w *worker) request() {
	w.generation++
	for len(w.lane.queue) > 0 {
		w.lane.give((<-w.lane.queue).events)
	}
	w.feed.ask(w.partition, request{lane: w.lane, after: w.position, generation: w.generation})
}

// end writes the last checkpoint, unless the partition is another's already.
func (w *worker) end(ctx context.Context, err error) error {
	w.lane.idle.Store(false)
	if errors.Is(err, errLost) || errors.Is(err, ErrFenced) || ctx.Err() != nil && w.expired() {
		return errLost
	}
	if w.position > w.fence.Position && w.fence.revision > 0 {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(finishing, time.Until(w.lease.Until())))
		defer cancel()
		if failure := w.record(last, w.position); failure != nil && !errors.Is(failure, errMoved) && !errors.Is(failure, ErrFenced) {
			w.o.OnError(fmt.Errorf("subscription %s: the last checkpoint of partition %d: %w", w.name, w.partition, failure))
		}
	}
	if errors.Is(err, errStopping) {
		return nil
	}
	return err
}

func (w *worker) expired() bool { return !time.Now().Before(w.lease.Until()) }

// ready returns when the next events may be handled: it waits out a pause, and looks whether the checkpoint was moved.
// It gives errStopping, errLost, errMoved, or what makes the checkpoint unusable.
func (w *worker) ready(ctx context.Context, stop <-chan struct{}) error {
	for {
		switch {
		case closed(stop):
			return errStopping
		case ctx.Err() != nil:
			return errLost
		}
		if w.recheck.Swap(false) || w.fence.uncertain {
			if err := w.reload(ctx, stop); err != nil {
				return err
			}
		}
		opened := w.gate.wait()
		if opened == nil {
			return nil
		}
		w.save(ctx)
		select {
		case <-opened:
		case <-w.lane.wake:
		case <-stop:
		case <-ctx.Done():
		}
	}
}

// reload finds out where the stored checkpoint is. A committed batch whose outcome was not known counts as handled;
// errMoved says that the place was moved from outside, and that the position is that place now.
func (w *worker) reload(ctx context.Context, stop <-chan struct{}) error {
	var reset bool
	err := w.persevere(ctx, stop, func() (err error) {
		reset, err = w.fence.load(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return w.settle(reset)
}

// settle takes over what was loaded.
func (w *worker) settle(reset bool) error {
	switch {
	case reset:
		w.position, w.since, w.singles = w.fence.Position, 0, 0
		w.progress.set(w.partition, w.position)
		return errMoved
	case w.fence.Position > w.position:
		w.position, w.since = w.fence.Position, 0
		w.progress.set(w.partition, w.position)
	}
	return nil
}

// persevere calls fn again while the backend is at fault.
func (w *worker) persevere(ctx context.Context, stop <-chan struct{}, fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || final(err) {
			if try > 1 {
				w.report.outage(nil)
			}
			return err
		}
		if ctx.Err() != nil {
			return errLost
		}
		w.o.OnError(fmt.Errorf("subscription %s: partition %d: %w", w.name, w.partition, err))
		w.report.outage(err)
		if !sleep(outagePause(try), stop, ctx.Done()) {
			if closed(stop) {
				return errStopping
			}
			return errLost
		}
	}
}

// final tells errors that do not pass by themselves.
func final(err error) bool {
	return errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrTooLarge) ||
		errors.Is(err, ErrCheckpoint) || errors.Is(err, ErrFenced)
}

// take handles a chunk.
func (w *worker) take(ctx context.Context, stop <-chan struct{}, c chunk) error {
	defer w.lane.give(c.events)
	if c.generation != w.generation {
		return nil
	}
	events := c.events
	for len(events) > 0 && events[0].Position <= w.position {
		events = events[1:]
	}
	if err := w.handle(ctx, stop, events); err != nil {
		return err
	}
	if c.passed > w.position {
		w.position = c.passed
		w.progress.set(w.partition, w.position)
		w.saveIfDue(ctx)
	}
	if c.head {
		w.report.live()
	}
	return nil
}

// note takes down that events up to a position are handled.
func (w *worker) note(position event.Position, events int) {
	w.position = position
	w.since += events
	w.progress.set(w.partition, position)
}

// advance is note, and writes the checkpoint when it is time. After a failure that has to wait: what is stored must be
// looked at first.
func (w *worker) advance(ctx context.Context, position event.Position, events int) {
	w.note(position, events)
	if w.fence.Position >= position { // the processor has committed it
		w.since, w.writtenAt = 0, time.Now()
		return
	}
	w.saveIfDue(ctx)
}

func (w *worker) saveIfDue(ctx context.Context) {
	age := time.Since(w.writtenAt)
	if age >= w.o.CheckpointInterval || w.since >= w.o.CheckpointEvery && age >= checkpointSpacing {
		w.save(ctx)
	}
}

// save writes the checkpoint where it is behind. A failure is told and tried again at the next time: what is handled is
// handled, and without a checkpoint it will be once more.
func (w *worker) save(ctx context.Context) {
	if w.position == w.fence.Position || w.fence.uncertain {
		return
	}
	w.writtenAt = time.Now()
	if err := w.fence.write(ctx, w.position); err != nil {
		if ctx.Err() == nil {
			w.o.OnError(fmt.Errorf("subscription %s: write the checkpoint of partition %d: %w", w.name, w.partition, err))
		}
		return
	}
	w.since = 0
}

// record writes the checkpoint at a position with the operations, once, and says so when it has been moved.
func (w *worker) record(ctx context.Context, position event.Position, ops ...store.Op) error {
	if w.fence.uncertain {
		if reset, err := w.fence.load(ctx); err != nil {
			return err
		} else if reset {
			return errMoved
		}
	}
	return w.fence.write(ctx, position, ops...)
}
