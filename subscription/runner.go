package subscription

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// finishing is how long the last writes of a run may take.
const finishing = 5 * time.Second

// runner is one Run: it keeps the leases, starts and ends the workers of what it owns, and carries what is asked for from
// outside to them. Its own goroutine does all this; the workers and the feed have theirs, which it waits for.
type runner struct {
	*Subscription
	member *lease.Member
	feed   *feed
	gate   gate

	workers map[int]*running // by partition
	ended   chan ended
	news    chan struct{} // capacity 1: a report has changed
	renewed time.Time     // when the leases were last renewed
	resets  int64         // as last seen in the control record
	seen    bool          // the control record was read before

	readFault atomic.Pointer[error] // why the log cannot be read at present
}

// running is a worker and what belongs to its goroutine.
type running struct {
	*worker
	giving bool // it was told to retire
}

type ended struct {
	partition int
	err       error
}

func newRunner(s *Subscription) *runner {
	holder := lease.NewHolder(s.store, leaseBucket, s.o.Owner, s.o.Lease)
	return &runner{
		Subscription: s, member: lease.Join(holder, s.name, s.o.Partitions), feed: newFeed(s.store, &s.o),
		workers: map[int]*running{}, ended: make(chan ended), news: make(chan struct{}, 1),
	}
}

// run returns when everything has ended. Handlers go on under a context of their own, which outlives ctx by the grace.
func (r *runner) run(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	handling, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()

	var others sync.WaitGroup
	failed := make(chan error, 1)
	others.Go(func() {
		if err := r.feed.run(ctx, r.feedFailed); err != nil {
			failed <- err
		}
	})
	others.Go(func() { r.awaitCaughtUp(ctx) })

	err := r.lead(ctx, handling, failed)
	stop()
	defer time.AfterFunc(r.o.Grace, abandon).Stop()
	err = errors.Join(err, r.drain(handling))
	others.Wait()
	r.leave(context.WithoutCancel(ctx))
	return err
}

// prepare makes or checks the checkpoints.
func (r *runner) prepare(ctx context.Context) error {
	for try := 1; ; try++ {
		err := ensureCheckpoints(ctx, r.store, r.name, r.o.Partitions, r.o.Start, r.o.Now())
		if err == nil || final(err) || ctx.Err() != nil {
			return err
		}
		r.o.OnError(fmt.Errorf("subscription %s: %w", r.name, err))
		sleep(outagePause(try), ctx.Done())
	}
}

func (r *runner) awaitCaughtUp(ctx context.Context) {
	head, err := r.head(ctx)
	if err == nil && r.WaitFor(ctx, head) == nil {
		r.catching.Do(func() { close(r.caughtUp) })
	}
}

// feedFailed is called by the feed's goroutine.
func (r *runner) feedFailed(err error) {
	if err != nil {
		r.o.OnError(fmt.Errorf("subscription %s: %w", r.name, err))
	}
	r.readFault.Store(&err)
}

// lead runs until ctx ends, or something has failed for good.
func (r *runner) lead(ctx, handling context.Context, failed <-chan error) error {
	every := min(r.o.PollInterval, r.o.Lease/3)
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		if err := r.look(ctx, handling); errors.Is(err, store.ErrClosed) {
			return err
		}
		timer.Reset(every)
		for again := true; again; {
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
				again = false
			case <-r.news:
				r.tell(ctx, false)
			case err := <-failed:
				return err
			case e := <-r.ended:
				if err := r.retired(ctx, e); err != nil {
					return err
				}
				again = false // there may be others to take
			}
		}
	}
}

// look does what is due: renew, see what was asked for, share. What fails is told, and done at the next look.
func (r *runner) look(ctx, handling context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.Lease/3)
	defer cancel()
	due := time.Since(r.renewed) >= r.o.Lease/3
	var failures []error
	if due {
		failures = append(failures, r.member.Appear(ctx))
		r.renew(ctx)
		r.renewed = time.Now()
	}
	failures = append(failures, r.obey(ctx), r.share(ctx, handling), r.lookForLetters(ctx))
	if due {
		r.tell(ctx, true)
	}
	err := errors.Join(failures...)
	r.complain(ctx, err)
	return err
}

func (r *runner) complain(ctx context.Context, err error) {
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		r.o.OnError(fmt.Errorf("subscription %s: %w", r.name, err))
	}
}

// renew renews the leases of all workers. Those that cannot be renewed in time end by their timers.
func (r *runner) renew(ctx context.Context) {
	for _, w := range r.workers {
		err := w.lease.Renew(ctx)
		switch {
		case err == nil:
			w.expiry.Reset(time.Until(w.lease.Until()))
		case errors.Is(err, lease.ErrLost):
			w.abandon()
			fallthrough
		default:
			r.complain(ctx, err)
		}
	}
}

// share takes and gives partitions so that everybody has a fair part.
func (r *runner) share(ctx, handling context.Context) error {
	take, give, err := r.member.Plan(ctx)
	if err != nil {
		return err
	}
	for _, w := range r.workers {
		if w.giving {
			give-- // is being given back already
		}
	}
	for i := r.o.Partitions - 1; i >= 0 && give > 0; i-- {
		if w := r.workers[i]; w != nil && !w.giving {
			w.giving = true
			w.retire()
			give--
		}
	}
	for _, i := range take {
		if r.workers[i] != nil {
			continue
		}
		l, err := r.member.Acquire(ctx, i)
		if errors.Is(err, lease.ErrHeld) {
			continue // another member was faster
		}
		if err != nil {
			return err
		}
		r.start(ctx, handling, i, l)
	}
	return nil
}

// start starts the worker of a partition.
func (r *runner) start(ctx, handling context.Context, partition int, l *lease.Lease) {
	own, abandon := context.WithCancel(handling)
	stopping, retire := context.WithCancel(context.WithoutCancel(ctx))
	w := &worker{
		Subscription: r.Subscription, partition: partition, lease: l, feed: r.feed, lane: newLane(), gate: &r.gate,
		report: &report{changed: r.news, untold: true}, abandon: abandon, retire: retire,
		fence:  newFence(r.store, r.name, partition, r.o.Partitions, r.o.Owner, l.Epoch(), r.o.Now),
		expiry: time.AfterFunc(time.Until(l.Until()), abandon),
	}
	r.workers[partition] = &running{worker: w}
	go func() {
		err := w.work(own, stopping.Done())
		w.expiry.Stop()
		abandon()
		r.ended <- ended{partition, err}
	}()
}

// retired gives a partition back whose worker has ended. It returns what ends the whole run.
func (r *runner) retired(ctx context.Context, e ended) error {
	w := r.workers[e.partition]
	delete(r.workers, e.partition)
	r.progress.drop(e.partition)
	w.retire()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	if e.err == nil || !errors.Is(e.err, errLost) {
		r.complain(last, r.withdraw(last, w, e.err))
	}
	if errors.Is(e.err, errLost) {
		r.complain(last, fmt.Errorf("partition %d: %w", e.partition, errLost))
		return nil
	}
	return e.err
}

// withdraw tells how the partition was left, and releases it.
func (r *runner) withdraw(ctx context.Context, w *running, err error) error {
	key := partitionKey(r.name, w.partition)
	op := store.Delete(statusBucket, key)
	if err != nil {
		op = w.report.faulted(err).put(key, r.Subscription, w.worker)
	}
	_, failure := r.store.Apply(ctx, op)
	return errors.Join(failure, w.lease.Release(ctx))
}

// drain makes all workers end, and keeps their leases meanwhile.
func (r *runner) drain(handling context.Context) error {
	for _, w := range r.workers {
		w.retire()
	}
	timer := time.NewTicker(r.o.Lease / 3)
	defer timer.Stop()
	var failures []error
	for len(r.workers) > 0 {
		select {
		case e := <-r.ended:
			failures = append(failures, r.retired(handling, e))
		case <-timer.C:
			ctx, cancel := context.WithTimeout(context.WithoutCancel(handling), r.o.Lease/3)
			r.renew(ctx)
			cancel()
		}
	}
	return errors.Join(failures...)
}

// leave makes the member unknown.
func (r *runner) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, finishing)
	defer cancel()
	r.complain(ctx, r.member.Leave(ctx))
}

// obey reads the control record and does what it says.
func (r *runner) obey(ctx context.Context) error {
	c, _, err := loadControl(ctx, r.store, r.name)
	if err != nil {
		return err
	}
	r.gate.set(c.Paused)
	if r.seen && c.Resets != r.resets {
		for _, w := range r.workers {
			w.recheck.Store(true)
			w.lane.poke()
		}
	}
	r.seen, r.resets = true, c.Resets
	if c.Paused {
		for _, w := range r.workers {
			w.lane.poke() // it writes its checkpoint before it waits
		}
	}
	return nil
}

// lookForLetters tells the workers of retries that were asked for.
func (r *runner) lookForLetters(ctx context.Context) error {
	if r.o.DeadLetters == nil {
		return nil
	}
	for letter, err := range r.o.DeadLetters.Requested(ctx, r.o.Source) {
		if err != nil {
			return err
		}
		if letter.Event == nil {
			continue
		}
		if w := r.workers[PartitionOf(letter.Event.Stream, r.o.Partitions)]; w != nil {
			w.letters.Store(true)
			w.lane.poke()
		}
	}
	return nil
}

// tell writes the status records of those that have news, or of all to keep them from expiring.
func (r *runner) tell(ctx context.Context, all bool) {
	var ops []store.Op
	var fault error
	if p := r.readFault.Load(); p != nil {
		fault = *p
	}
	for i, w := range r.workers {
		if f, news := w.report.take(); all || news {
			if f.Error == "" && fault != nil {
				f.Error = fault.Error()
			}
			ops = append(ops, f.put(partitionKey(r.name, i), r.Subscription, w.worker))
		}
	}
	if len(ops) > 0 {
		_, err := r.store.Apply(ctx, ops...)
		r.complain(ctx, err)
	}
}
