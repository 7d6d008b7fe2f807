package lease

import (
	"context"
	"errors"
	"time"
)

// Hold renews the lease, each third of its time, until stop is called, also when ctx ends before: what is done under it may
// have to be finished. The context that it gives ends with ctx, with stop, and when the lease is lost. onError is told of
// renewals that fail; the lease goes on after those that are not ErrLost. Stop waits for the renewing to end, and leaves the
// lease as it is.
func (l *Lease) Hold(ctx context.Context, onError func(err error)) (_ context.Context, stop func()) {
	working, cancel := context.WithCancel(ctx)
	renewing, end := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(max(1, l.holder.ttl/3))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-renewing.Done():
				return
			}
			err := l.Renew(renewing)
			if err == nil || renewing.Err() != nil {
				continue
			}
			onError(err)
			if errors.Is(err, ErrLost) {
				cancel()
				return
			}
		}
	}()
	return working, func() {
		end()
		<-done
		cancel()
	}
}
