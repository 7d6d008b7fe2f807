package middleware

import (
	"context"
	"fmt"

	"lexigram.dev/events/store"
)

// transactionKey is set in contexts within a transaction: of a store, and, without one, of any.
type transactionKey struct{ of *store.Store }

// transact runs f in a transaction of the store, and tells the steps inside.
func transact(ctx context.Context, s *store.Store, f func(ctx context.Context) error) error {
	return s.Transact(ctx, func(ctx context.Context) error {
		ctx = context.WithValue(ctx, transactionKey{s}, true)
		return f(context.WithValue(ctx, transactionKey{}, true))
	})
}

// inTransaction reports whether the context is within a transaction of the store; nil: of any.
func inTransaction(ctx context.Context, s *store.Store) bool {
	return ctx.Value(transactionKey{s}) != nil
}

// Transaction handles each command and event in one transaction of the store: what the handler appends, writes to records,
// and does through the driver's own handle (such as pgstore.Tx(ctx)) takes effect together, when it succeeds, or not at
// all. Queries pass. A message that is dispatched by a handler belongs to the handler's transaction, if that is one of
// this store.
//
// When the transaction fails with an error that another attempt may cure, it is begun anew, as the options say; so what
// else the handler does it must be able to do twice. A backend without transactions gives store.ErrUnsupported.
func Transaction(s *store.Store, o RetryOptions) (Step, error) {
	o, err := o.withDefaults()
	if _, ok := s.Backend().(store.Transactor); !ok && err == nil {
		err = store.ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("transaction around handlers: %w", err)
	}
	return func(ctx context.Context, c Call, next Next) error {
		if c.Kind() == Query || inTransaction(ctx, s) {
			return next(ctx)
		}
		return o.run(ctx, c, func(ctx context.Context) error { return transact(ctx, s, next) })
	}, nil
}
