package subscription

import (
	"context"
	"errors"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

const (
	// window is how many positions one read covers, so that a filter that selects little does not keep a read going for
	// long without anybody hearing of it.
	window = 100_000

	// markEvery is after how many events of a read partitions that get few of them hear how far it is.
	markEvery = 10_000

	// holdUp is how long a full queue may hold up others that have nothing to do.
	holdUp = 10 * time.Millisecond

	// breath is the least time from a read that has passed at least many events, whether or not the filter selects them,
	// to the next one: while many come, a few reads of many take less from those who append than many reads of a few. What
	// comes alone is read at once. A read that selects nothing of them can wait longer.
	breath     = 5 * time.Millisecond
	longBreath = 15 * time.Millisecond
	many       = 16
)

// errAgain ends a read because lanes have changed.
var errAgain = errors.New("the lanes have changed")

// feed is the one reader of the log in a process: it hands the events to the lanes of the partitions that are owned
// here. Switching from catching up to following needs no care: it reads by position all the time, and only waits when
// nothing is left.
type feed struct {
	store   *store.Store
	options *Options

	mu       sync.Mutex
	requests map[int]request // by partition, not seen yet
	changed  chan struct{}   // capacity 1

	lanes     []*fed    // by partition; nil: not owned here
	begun     time.Time // when the last read was begun
	count     int       // of the events that it gave
	passed    int       // how many positions it went over
	uncertain bool      // a read gave nothing: only the head tells whether the log has ended there
}

// request asks for the events of a partition behind a position.
type request struct {
	lane       *lane
	after      event.Position
	generation int
}

// fed is a lane as the feed sees it.
type fed struct {
	request
	events []event.Recorded // read, not handed over
	behind bool             // it does not keep up: nothing is handed over until it asks again
}

func newFeed(s *store.Store, o *Options) *feed {
	return &feed{
		store: s, options: o, requests: map[int]request{}, changed: make(chan struct{}, 1), lanes: make([]*fed, o.Partitions),
	}
}

// ask makes the feed (again) send what follows a position.
func (f *feed) ask(partition int, r request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests[partition] = r
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// arrange takes the requests up, drops lanes whose workers have ended, and forgets what was read and not handed over.
func (f *feed) arrange() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.requests {
		f.lanes[i] = &fed{request: r}
		r.lane.detached.Store(false)
	}
	clear(f.requests)
	for i, l := range f.lanes {
		if l == nil {
			continue
		}
		l.events = l.events[:0]
		if closed(l.lane.gone) {
			f.lanes[i] = nil
		}
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// next is the lowest position that some lane needs; 0 where there is none.
func (f *feed) next() event.Position {
	var lowest event.Position
	for _, l := range f.lanes {
		if l != nil && !l.behind && (lowest == 0 || l.after < lowest-1) {
			lowest = l.after + 1
		}
	}
	return lowest
}

// run feeds until ctx ends. It returns the error of a store that was closed; other faults of the backend are told to
// failed, which is called with nil when it works again, and waited out.
func (f *feed) run(ctx context.Context, failed func(error)) error {
	wake := newWaking(f.store)
	failures := 0
	for ctx.Err() == nil {
		f.arrange()
		next := f.next()
		if next == 0 {
			f.wait(ctx, wake)
			continue
		}
		wake.open(ctx)
		ended, err := f.pass(ctx, next)
		switch {
		case errors.Is(err, store.ErrClosed):
			return err
		case errors.Is(err, errAgain), ctx.Err() != nil:
		case err != nil:
			failures++
			failed(err)
			sleep(outagePause(failures), ctx.Done())
		default:
			if failures > 0 {
				failures = 0
				failed(nil)
			}
			if ended {
				f.wait(ctx, wake)
			}
		}
	}
	return nil
}

// wait returns when there may be something to read, or ctx has ended.
func (f *feed) wait(ctx context.Context, wake *waking) {
	timer := time.NewTimer(f.options.PollInterval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.changed:
	case <-timer.C:
	case _, open := <-wake.signals:
		if !open {
			wake.signals = nil // polling goes on, and open tries again
		}
		rest := breath
		if f.count == 0 {
			rest = longBreath
		}
		if rest -= time.Since(f.begun); f.passed >= many && rest > 0 {
			sleep(rest, ctx.Done())
		}
	}
}

// pass reads one window from a position on. ended is set when it has reached the end of the log.
func (f *feed) pass(ctx context.Context, next event.Position) (ended bool, err error) {
	f.begun, f.count, f.passed = time.Now(), 0, 0
	to := next + window - 1
	filtered := !f.options.Filter.IsZero()
	var head event.Position
	if filtered || f.uncertain {
		// The head comes first: what is at or before it and is not read, does not pass the filter.
		if head, err = f.store.Head(ctx); err != nil {
			return false, err
		}
		f.uncertain = false
		if head < next {
			return true, f.flush(ctx, head, true)
		}
		to = min(to, head)
		f.passed = int(to - next + 1)
	}
	last, err := f.read(ctx, next, to)
	if last > 0 && head == 0 {
		f.passed = int(last - next + 1)
	}
	switch {
	case err != nil:
		return false, err
	case head > 0:
		return to == head, f.flush(ctx, to, to == head)
	case last == 0:
		f.uncertain = true
		return false, nil
	case last-next >= markEvery:
		f.uncertain = true // after a long read the end is asked for: what looks like it may be a hole of a truncation
		return false, f.flush(ctx, last, false)
	}
	return last < to, f.flush(ctx, last, last < to)
}

// read hands out the events of a range, all but the last ones. last is the position of the last one; 0: none.
func (f *feed) read(ctx context.Context, from, to event.Position) (last event.Position, err error) {
	size, lanes, n := f.options.BatchEvents, f.lanes, f.options.Partitions
	for e, err := range f.store.ReadLog(ctx, store.LogRead{From: from, To: to, Filter: f.options.Filter}) {
		if err != nil {
			return last, err
		}
		last = e.Position
		l := lanes[PartitionOf(e.Stream, n)]
		if l != nil && last > l.after && !l.behind {
			if l.events == nil {
				l.events = l.lane.take(size)
			}
			if l.events = append(l.events, e); len(l.events) >= size {
				if err := f.hand(ctx, l, last, false); err != nil {
					return last, err
				}
			}
		}
		if f.count++; f.count%max(markEvery, size) == 0 {
			if err := f.flush(ctx, last, false); err != nil {
				return last, err
			}
		}
	}
	return last, nil
}

// flush tells all lanes that the log was read up to a position, with the events that they have not got yet.
func (f *feed) flush(ctx context.Context, passed event.Position, head bool) error {
	for _, l := range f.lanes {
		if l == nil || l.behind || passed < l.after || passed == l.after && !head {
			continue
		}
		if err := f.hand(ctx, l, passed, head); err != nil {
			return err
		}
	}
	return nil
}

// hand puts a chunk into a lane's queue. While that is full and others have nothing to do, the lane is detached.
func (f *feed) hand(ctx context.Context, l *fed, passed event.Position, head bool) error {
	c := chunk{events: l.events, passed: passed, generation: l.generation, head: head}
	select {
	case l.lane.queue <- c:
		l.events, l.after = nil, passed
		return nil
	default:
	}
	timer := time.NewTimer(holdUp)
	defer timer.Stop()
	for {
		select {
		case l.lane.queue <- c:
			l.events, l.after = nil, passed
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-f.changed:
			return errAgain
		case <-l.lane.gone:
			return errAgain
		case <-timer.C:
			if f.othersWait(l) {
				l.behind, l.events = true, nil
				l.lane.detached.Store(true)
				l.lane.poke() // it may have emptied its queue just now
				return nil
			}
			timer.Reset(holdUp)
		}
	}
}

func (f *feed) othersWait(slow *fed) bool {
	for _, l := range f.lanes {
		if l != nil && l != slow && !l.behind && l.lane.idle.Load() && len(l.lane.queue) == 0 {
			return true
		}
	}
	return false
}

// waking are the wake-ups of a backend that has them.
type waking struct {
	waker   store.Waker // nil: none
	signals <-chan struct{}
}

func newWaking(s *store.Store) *waking {
	waker, _ := s.Backend().(store.Waker)
	return &waking{waker: waker}
}

// open begins to listen, before the log is read, so that no growth falls in between. Where that fails, polling has to do
// until the next time.
func (w *waking) open(ctx context.Context) {
	if w.waker != nil && w.signals == nil {
		w.signals, _ = w.waker.Wake(ctx)
	}
}
