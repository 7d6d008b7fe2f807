package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Live is the place for a subscriber who wants only what is appended from now on.
const Live event.Position = -1

// Feed hands the events of a log to subscribers. It is safe for concurrent use.
type Feed struct {
	store *store.Store
	o     Options

	joined chan struct{} // capacity 1: somebody follows

	mu          sync.Mutex                 // guards what follows, and the fields of subscriptions that say so
	subscribers map[*Subscription]struct{} // all
	followers   map[*Subscription]struct{} // those of them who are fed by Run
	tail        event.Position             // up to where the followers were fed
	running     bool
	ended       bool
	fault       error // of the last read of Run
}

// New gives a feed of a store. Let it Run.
func New(s *store.Store, o Options) *Feed {
	return &Feed{
		store: s, o: o.withDefaults(), joined: make(chan struct{}, 1),
		subscribers: map[*Subscription]struct{}{}, followers: map[*Subscription]struct{}{},
	}
}

// Name is "stream": the feed as a part of an engine.
func (f *Feed) Name() string { return "stream" }

// Subscribers counts those that there are.
func (f *Feed) Subscribers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subscribers)
}

// Subscribe begins a subscription to the events behind a position that pass the filter: 0 for all that there are, Live for
// those that are appended after the call. It ends with ctx, with Close and with Run. The error is ErrTooMany, ErrClosed,
// store.ErrInvalid for a filter that is none or a position that the log has not reached, or the store's.
func (f *Feed) Subscribe(ctx context.Context, filter store.Filter, after event.Position) (*Subscription, error) {
	s, err := f.subscribe(ctx, filter, after)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return s, nil
}

func (f *Feed) subscribe(ctx context.Context, filter store.Filter, after event.Position) (*Subscription, error) {
	if err := filter.Validate(); err != nil {
		return nil, err
	}
	s := &Subscription{feed: f, filter: filter, position: after, ready: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := f.admit(s); err != nil {
		return nil, err
	}
	head, err := f.store.Head(ctx)
	switch {
	case err != nil:
	case after == Live:
		s.position = head
	case after < 0:
		err = fmt.Errorf("after position %d: %w", after, store.ErrInvalid)
	case after > head:
		err = fmt.Errorf("after position %d, the log is at %d: %w", after, head, store.ErrInvalid)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	s.detach = context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
	return s, nil
}

func (f *Feed) admit(s *Subscription) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return ErrClosed
	case len(f.subscribers) >= f.o.MaxSubscribers:
		return fmt.Errorf("%w: there are %d", ErrTooMany, len(f.subscribers))
	}
	f.subscribers[s] = struct{}{}
	return nil
}

// Run reads the log for those who follow it, until ctx ends; then all subscriptions end with ErrClosed, and there can be no
// new ones. Faults of the backend are told to Options.OnError and waited out; a store that was closed ends it with that
// error. Without Run subscribers catch up and get no further.
func (f *Feed) Run(ctx context.Context) error {
	f.mu.Lock()
	again := f.running
	f.running = true
	f.mu.Unlock()
	if again {
		return fmt.Errorf("run the stream: %w", ErrRunning)
	}
	defer f.end()
	waker, _ := f.store.Backend().(store.Waker)
	var signals <-chan struct{}
	for failures := 0; ctx.Err() == nil; {
		tail, needed := f.needed()
		if !needed {
			select {
			case <-f.joined:
			case <-ctx.Done():
			}
			continue
		}
		if waker != nil && signals == nil {
			signals, _ = waker.Wake(ctx) // before the log is read; where it fails, polling has to do until the next time
		}
		page, err := read(ctx, f.store, store.LogRead{From: tail + 1, Limit: f.o.BatchSize})
		switch {
		case err == nil:
			failures = 0
			f.failing(nil)
			f.hand(page)
			if len(page) < f.o.BatchSize && !f.rest(ctx, signals) {
				signals = nil
			}
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrClosed):
			return fmt.Errorf("run the stream: %w", err)
		default:
			failures++
			f.failing(err)
			f.o.OnError(err)
			wait(ctx, outagePause(failures), nil)
		}
	}
	return nil
}

// Health tells why the log cannot be read at the moment.
func (f *Feed) Health(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}

func (f *Feed) failing(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
}

// needed tells from where on the log is to be read; false: nobody follows.
func (f *Feed) needed() (event.Position, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tail, len(f.followers) > 0
}

// rest returns when there may be something to read, or ctx has ended. It reports whether wake-ups still come.
func (f *Feed) rest(ctx context.Context, signals <-chan struct{}) (waking bool) {
	timer := time.NewTimer(f.o.PollInterval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.joined:
	case <-timer.C:
	case _, open := <-signals:
		return open
	}
	return true
}

// hand puts a page, which begins at or before the tail and has no gaps, into the buffers of those who follow.
func (f *Feed) hand(page []event.Recorded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range page {
		for s := range f.followers {
			s.offer(page[i])
		}
		f.tail = max(f.tail, page[i].Position)
	}
}

func (f *Feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for s := range f.subscribers {
		s.endLocked(ErrClosed)
	}
}

func read(ctx context.Context, s *store.Store, r store.LogRead) ([]event.Recorded, error) {
	var page []event.Recorded
	for e, err := range s.ReadLog(ctx, r) {
		if err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, nil
}

// outagePause doubles from 100 ms to 5 s.
func outagePause(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures-1, 6), 5*time.Second)
}

func wait(ctx context.Context, d time.Duration, ended <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-ended:
	}
}
