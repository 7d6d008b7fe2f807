package memstore

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Options are the settings of a memory backend; the zero value works.
type Options struct {
	// Now is the clock of recorded-at times and of the expiry of records. Defaults to time.Now.
	Now func() time.Time

	// MaxEventsPerStream refuses appends (store.ErrTooLarge) that would make a stream longer. Defaults to 0: none.
	MaxEventsPerStream int
}

// Backend is a store in memory.
type Backend struct {
	now         func() time.Time
	systemClock bool // now is time.Now
	maxEvents   int  // of a stream; 0: any

	mu       sync.RWMutex // guards all below
	closed   bool
	log      log
	streams  map[event.StreamID]*stream
	ids      ids
	newest   int64 // recorded-at time, in microseconds since 1970
	buckets  map[string]*bucket
	revision store.Revision // the last one given out
	wakers   map[chan struct{}]bool
}

var (
	_ store.Backend      = (*Backend)(nil)
	_ store.Waker        = (*Backend)(nil)
	_ store.Copier       = (*Backend)(nil)
	_ store.Truncator    = (*Backend)(nil)
	_ store.Importer     = (*Backend)(nil)
	_ store.BucketLister = (*Backend)(nil)
)

// New makes an empty backend.
func New(o Options) *Backend {
	systemClock := o.Now == nil
	if systemClock {
		o.Now = time.Now
	}
	b := &Backend{
		now:         o.Now,
		systemClock: systemClock,
		maxEvents:   o.MaxEventsPerStream,
		streams:     map[event.StreamID]*stream{},
		buckets:     map[string]*bucket{},
		wakers:      map[chan struct{}]bool{},
	}
	b.ids.log = &b.log
	return b
}

// Driver offers the backend by the URL "memory:", or "memory:?max_events_per_stream=10000"; each opening makes a new, empty
// one.
func Driver() store.Driver {
	return store.Driver{
		Name:    "memory",
		Schemes: []string{"memory"},
		Example: "memory:",
		Open: func(_ context.Context, storeURL string, _ store.OpenOptions) (store.Backend, error) {
			rest := strings.TrimPrefix(storeURL, "memory:")
			if rest == "" {
				return New(Options{}), nil
			}
			limit, ok := strings.CutPrefix(rest, "?max_events_per_stream=")
			n, err := strconv.Atoi(limit)
			if !ok || err != nil || n < 1 {
				return nil, fmt.Errorf("open a memory store: %w: only ?max_events_per_stream=NUMBER may follow %q, found %q", store.ErrInvalid, "memory:", rest)
			}
			return New(Options{MaxEventsPerStream: n}), nil
		},
	}
}

// Describe implements store.Backend.
func (b *Backend) Describe(ctx context.Context) (store.Description, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.usable(ctx); err != nil {
		return store.Description{}, err
	}
	return store.Description{
		Backend:    "memory",
		Version:    runtime.Version(),
		Location:   "this process",
		Durability: "none: everything is lost when the process ends",
		Head:       b.log.head(),
	}, nil
}

// Close implements store.Backend. It wakes all followers up, by closing their channels.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.log, b.streams, b.ids, b.buckets = log{}, nil, ids{}, nil
	for ch := range b.wakers {
		b.dismiss(ch)
	}
	return nil
}

// Wake implements store.Waker.
func (b *Backend) Wake(ctx context.Context) (<-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	ch := make(chan struct{}, 1)
	b.wakers[ch] = true
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.dismiss(ch)
	})
	return ch, nil
}

// dismiss closes a follower's channel, once. The caller holds mu.
func (b *Backend) dismiss(ch chan struct{}) {
	if b.wakers[ch] {
		delete(b.wakers, ch)
		close(ch)
	}
}

// wake tells all followers that the log has grown. The caller holds mu.
func (b *Backend) wake() {
	for ch := range b.wakers {
		select {
		case ch <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

// usable says why a call cannot be served. The caller holds mu.
func (b *Backend) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.closed {
		return store.ErrClosed
	}
	return nil
}
