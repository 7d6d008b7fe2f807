package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// finishing is how long the last writes of a run may take.
const finishing = 5 * time.Second

// Run makes deliveries until ctx ends, and then returns nil once those at hand are made. Faults of the backend are waited
// out.
func (s *Scheduler) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return fmt.Errorf("run the scheduler: %w", ErrRunning)
	}
	holder := lease.NewHolder(s.store, leaseBucket, s.o.Owner, s.o.Lease)
	r := &runner{Scheduler: s, member: lease.Join(holder, group, partitions), workers: map[int]*worker{}, ended: make(chan ended)}
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("run the scheduler: %w", err)
	}
	return nil
}

// runner is one Run: it keeps the leases, and starts and ends the workers of the partitions that this process has. Its own
// goroutine does all this.
type runner struct {
	*Scheduler
	member  *lease.Member
	workers map[int]*worker
	ended   chan ended
	renewed time.Time // when the leases were last renewed
	letters sync.WaitGroup
	busy    chan struct{} // holds one while dead letters are retried
}

// worker makes the deliveries of one partition, as long as its lease lasts.
type worker struct {
	partition int
	lease     *lease.Lease
	retire    context.CancelFunc // nothing new is begun
	abandon   context.CancelFunc // what is being done is left
	expiry    *time.Timer        // abandons when the lease was not renewed in time
	giving    bool               // it was told to retire
}

type ended struct {
	partition int
	err       error
}

// run leads until ctx ends or something has failed for good. Handlers go on under a context that outlives ctx by the grace.
func (r *runner) run(ctx context.Context) error {
	handling, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	r.busy = make(chan struct{}, 1)
	err := r.lead(ctx, handling)
	defer time.AfterFunc(r.o.Grace, abandon).Stop()
	err = errors.Join(err, r.drain(handling))
	r.letters.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	r.complain(last, r.member.Leave(last))
	return err
}

func (r *runner) lead(ctx, handling context.Context) error {
	every := min(r.o.PollInterval, r.o.Lease/3)
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		if err := r.look(ctx, handling); errors.Is(err, store.ErrClosed) {
			return err
		}
		timer.Reset(every)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case e := <-r.ended:
			if err := r.retired(handling, e); err != nil {
				return err
			}
		}
	}
}

// look renews, shares, and sees what was asked for. What fails is told, and done at the next look.
func (r *runner) look(ctx, handling context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.Lease/3)
	defer cancel()
	var failures []error
	if time.Since(r.renewed) >= r.o.Lease/3 {
		failures = append(failures, r.member.Appear(ctx), r.renew(ctx))
		r.renewed = time.Now()
	}
	failures = append(failures, r.share(ctx, handling), r.lookForLetters(ctx, handling))
	err := errors.Join(failures...)
	r.fault("leases", err)
	r.complain(ctx, err)
	return err
}

func (r *runner) complain(ctx context.Context, err error) {
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		r.o.OnError(fmt.Errorf("schedule: %w", err))
	}
}

// renew renews the leases of all workers. Those that cannot be renewed in time end by their timers.
func (r *runner) renew(ctx context.Context) error {
	var failures []error
	for _, w := range r.workers {
		err := w.lease.Renew(ctx)
		if err == nil {
			w.expiry.Reset(time.Until(w.lease.Until()))
		} else if errors.Is(err, lease.ErrLost) {
			w.abandon()
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
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
	for _, w := range r.workers {
		if give > 0 && !w.giving {
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

// start starts the two lanes of a partition.
func (r *runner) start(ctx, handling context.Context, partition int, l *lease.Lease) {
	own, abandon := context.WithCancel(handling)
	stopping, retire := context.WithCancel(context.WithoutCancel(ctx))
	w := &worker{partition: partition, lease: l, abandon: abandon, retire: retire, expiry: time.AfterFunc(time.Until(l.Until()), abandon)}
	r.workers[partition] = w
	lanes := []*lane{newLane(r.Scheduler, KindEvent, partition, l.Epoch()), newLane(r.Scheduler, KindCommand, partition, l.Epoch())}
	r.mu.Lock()
	for _, lane := range lanes {
		r.lanes[lane.prefix] = lane
	}
	r.mu.Unlock()
	go func() {
		var all sync.WaitGroup
		failures := make([]error, len(lanes))
		for i, lane := range lanes {
			all.Go(func() {
				if failures[i] = lane.run(own, stopping.Done()); failures[i] != nil {
					abandon()
				}
			})
		}
		all.Wait()
		w.expiry.Stop()
		abandon()
		r.ended <- ended{partition, errors.Join(failures...)}
	}()
}

// retired gives a partition back whose worker has ended. It returns what ends the whole run.
func (r *runner) retired(handling context.Context, e ended) error {
	w := r.workers[e.partition]
	delete(r.workers, e.partition)
	w.retire()
	r.mu.Lock()
	for _, kind := range []Kind{KindEvent, KindCommand} {
		delete(r.lanes, prefixOf(kind, e.partition))
		delete(r.faults, prefixOf(kind, e.partition))
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(handling), finishing)
	defer cancel()
	r.complain(ctx, w.lease.Release(ctx))
	return e.err
}

// drain makes all workers end, and keeps their leases meanwhile.
func (r *runner) drain(handling context.Context) error {
	for _, w := range r.workers {
		w.retire()
	}
	ticks := time.NewTicker(r.o.Lease / 3)
	defer ticks.Stop()
	var failures []error
	for len(r.workers) > 0 {
		select {
		case e := <-r.ended:
			failures = append(failures, r.retired(handling, e))
		case <-ticks.C:
			ctx, cancel := context.WithTimeout(context.WithoutCancel(handling), r.o.Lease/3)
			r.complain(ctx, r.renew(ctx))
			cancel()
		}
	}
	return errors.Join(failures...)
}
