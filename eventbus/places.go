package eventbus

import "context"

// places bound the calls of handlers that run at the same time: one that is kept for the handler alone, where there are
// enough, and those that all handlers share.
type places struct {
	own, shared chan struct{} // a token for each place that is taken
}

// assignPlaces gives each handler its place. The sequence takes only one place at a time for an event, so there nothing
// needs to be kept free.
func (b *Bus) assignPlaces() {
	own, shared := 0, b.o.MaxConcurrentHandlers
	if b.o.Dispatch == Parallel && len(b.handlers) <= shared {
		own, shared = 1, shared-len(b.handlers)
	}
	common := make(chan struct{}, shared)
	for _, h := range b.handlers {
		h.places = places{own: make(chan struct{}, own), shared: common}
	}
}

// take waits for a place, and gives the function that frees it.
func (p places) take(ctx context.Context) (free func(), err error) {
	select { // the own one first, so that the shared ones stay for others
	case p.own <- struct{}{}:
		return func() { <-p.own }, nil
	default:
	}
	select {
	case p.own <- struct{}{}:
		return func() { <-p.own }, nil
	case p.shared <- struct{}{}:
		return func() { <-p.shared }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
