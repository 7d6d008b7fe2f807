package admin

import (
	"context"
	"iter"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/subscription"
)

// Subscriptions steers the subscriptions of the store, whichever processes run them.
func (a *Admin) Subscriptions() *subscription.Control { return subscription.NewControl(a.store) }

// DeadLetters gives the dead letters of the store.
func (a *Admin) DeadLetters() *deadletter.Letters {
	return deadletter.New(a.store, deadletter.Options{})
}

// Projections steers the projections of the store, whichever processes run them.
func (a *Admin) Projections() *projection.Control { return projection.NewControl(a.store) }

// Relays reports on the outbox's relays of the log, whichever processes run them.
func (a *Admin) Relays(ctx context.Context) iter.Seq2[outbox.Report, error] {
	return outbox.List(ctx, a.store)
}
