package config

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"lexigram.dev/events/middleware/querycache"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
	"lexigram.dev/events/stream"
)

// voids makes cached results of queries void when the log has events that they depend on, and again when this App's
// projections have handled these: what was asked in between may have been read before they had. Each process has a cache,
// so each one follows the log for itself.
type voids struct {
	log         *store.Store
	cache       *querycache.Cache
	voidedBy    map[string][]string
	projections []*projection.Projection
	onError     func(err error)
}

const (
	refollow = time.Second      // until the log is followed again after a fault
	lateness = 10 * time.Second // how long projections are waited for; results that are kept after that end by their age
)

// Name implements events.Runner, as do Run and Health.
func (v *voids) Name() string { return "query cache" }

// Health gives nil: a fault of the store is the store's, and results that are not made void end by their age.
func (v *voids) Health(context.Context) error { return nil }

func (v *voids) Run(ctx context.Context) error {
	feed := stream.New(v.log, stream.Options{MaxSubscribers: 1, OnError: v.onError})
	handled := make(chan struct{}, 1) // capacity 1: something has come
	var all sync.WaitGroup
	defer all.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	all.Go(func() { ended <- feed.Run(ctx) })
	all.Go(func() { v.again(ctx, handled) })
	for ctx.Err() == nil {
		if err := v.follow(ctx, feed, handled); err != nil && ctx.Err() == nil {
			v.onError(err)
		}
		select {
		case err := <-ended: // the store is closed, say
			return err
		case <-time.After(refollow):
		case <-ctx.Done():
		}
	}
	return <-ended
}

// follow begins with what is appended from now on; so all that was kept before is void.
func (v *voids) follow(ctx context.Context, feed *stream.Feed, handled chan<- struct{}) error {
	types := slices.Concat(slices.Collect(maps.Values(v.voidedBy))...)
	slices.Sort(types)
	filter := store.Filter{Query: store.Query{{Types: slices.Compact(types)}}}
	sub, err := feed.Subscribe(ctx, filter, stream.Live)
	if err != nil {
		return err
	}
	defer sub.Close()
	v.voidAll()
	tell(handled)
	for {
		batch, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range batch {
			if err := v.cache.Handle(ctx, e); err != nil {
				return err
			}
		}
		tell(handled)
	}
}

// tell has the results made void once more; it does not wait.
func tell(handled chan<- struct{}) {
	select {
	case handled <- struct{}{}:
	default:
	}
}

// again makes results void once more when the projections have seen what there was.
func (v *voids) again(ctx context.Context, handled <-chan struct{}) {
	for {
		select {
		case <-handled:
		case <-ctx.Done():
			return
		}
		if err := v.handledAll(ctx); err != nil && ctx.Err() == nil {
			v.onError(err)
		}
		v.voidAll()
	}
}

// handledAll waits until the projections have handled what the log holds, for a time.
func (v *voids) handledAll(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, lateness)
	defer stop()
	head, err := v.log.Head(ctx)
	for _, p := range v.projections {
		if err == nil {
			err = p.WaitFor(ctx, head)
		}
	}
	return err
}

func (v *voids) voidAll() { v.cache.Void(slices.Collect(maps.Keys(v.voidedBy))...) }
