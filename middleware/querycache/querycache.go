// Package querycache keeps the results of queries for a while, in this process, as a middleware.Step: by a key that the
// query gives, until they are too old, pushed out by others, or made void by an event. It joins package middleware and
// hashicorp/golang-lru.
package querycache

import (
	"context"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"lexigram.dev/events/event"
	"lexigram.dev/events/middleware"
)

// Options are the settings of a Cache; the zero value works.
type Options struct {
	// TTL is how long a result is given out. Defaults to 5 min.
	TTL time.Duration

	// MaxEntries is how many results are kept; the one that was not asked for the longest goes first. Defaults to 10,000.
	MaxEntries int

	// Key gives the key of a query's result, among those of its name; "": it is not cached. Defaults to the query's own
	// method CacheKey() string.
	Key func(c middleware.Call) string

	// Skip tells that a query wants no result from the cache; what it gets is kept for others. Defaults to the query's own
	// method SkipCache() bool.
	Skip func(c middleware.Call) bool

	// VoidedBy names the event types that make the results of a query void, by the query's name, such as
	// "orders.Open": {"order.placed", "order.shipped"}. They work when Handle is told of the events. Defaults to none.
	VoidedBy map[string][]string
}

// Cache keeps results. It is safe for concurrent use. Results are shared by all who ask: nobody may change what they hold.
type Cache struct {
	o       Options
	results *lru.Cache[place, result]
	voids   map[string][]string // names of queries by event type

	mu     sync.Mutex
	rounds map[string]uint64 // by name of a query: grows when its results become void
}

// place is where a result is kept. Those of rounds that have passed are never found again, and pushed out in time.
type place struct {
	name, tenant, key string
	round             uint64
}

type result struct {
	value any
	until time.Time
}

// New makes an empty cache. Settings that make no sense are an error.
func New(o Options) (*Cache, error) {
	if o.TTL == 0 {
		o.TTL = 5 * time.Minute
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 10_000
	}
	if o.Key == nil {
		o.Key = func(c middleware.Call) string {
			if keyed, ok := c.Payload().(interface{ CacheKey() string }); ok {
				return keyed.CacheKey()
			}
			return ""
		}
	}
	if o.Skip == nil {
		o.Skip = func(c middleware.Call) bool {
			skipper, ok := c.Payload().(interface{ SkipCache() bool })
			return ok && skipper.SkipCache()
		}
	}
	if o.TTL < 0 || o.MaxEntries < 0 {
		return nil, fmt.Errorf("query cache: ttl %v, %d entries: must not be negative", o.TTL, o.MaxEntries)
	}
	results, err := lru.New[place, result](o.MaxEntries)
	if err != nil {
		return nil, fmt.Errorf("query cache: %w", err)
	}
	c := &Cache{o: o, results: results, voids: map[string][]string{}, rounds: map[string]uint64{}}
	for name, types := range o.VoidedBy {
		for _, t := range types {
			c.voids[t] = append(c.voids[t], name)
		}
	}
	return c, nil
}

// Step answers queries from the cache, and keeps the results of those that had to be asked. Failures are not kept.
// Commands and events pass. Results of one tenant are not given to another.
func (c *Cache) Step() middleware.Step {
	return func(ctx context.Context, call middleware.Call, next middleware.Next) error {
		if call.Kind() != middleware.Query {
			return next(ctx)
		}
		key := c.o.Key(call)
		if key == "" {
			return next(ctx)
		}
		// The round is that from before the query was asked: what it read may be void by the time it is kept.
		at := place{name: call.Name(), tenant: event.MetadataFrom(ctx).Tenant, key: key, round: c.round(call.Name())}
		if !c.o.Skip(call) {
			if kept, ok := c.results.Get(at); ok && time.Now().Before(kept.until) {
				return call.SetResult(kept.value)
			}
		}
		if err := next(ctx); err != nil {
			return err
		}
		c.results.Add(at, result{call.Result(), time.Now().Add(c.o.TTL)})
		return nil
	}
}

func (c *Cache) round(name string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rounds[name]
}

// Handle makes the results void that an event touches. Call it for each event, in each process that has a cache: from an
// ephemeral subscription, or from the handler of an event bus.
func (c *Cache) Handle(_ context.Context, e event.Recorded) error {
	c.Void(c.voids[e.Type]...)
	return nil
}

// Void makes the results of queries of these names void.
func (c *Cache) Void(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.rounds[name]++
	}
}
