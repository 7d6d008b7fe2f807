package middleware

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// The buckets of Idempotent, by the hash of a message's name, tenant and key.
const (
	keptBucket  = "$idempotent-results"
	leaseBucket = "$idempotent-leases"
)

// IdempotentOptions are the settings of Idempotent; the zero value works.
type IdempotentOptions struct {
	// Key gives a message's idempotency key, "" for none. Defaults to the message's own method IdempotencyKey() string.
	Key func(c Call) string

	// Keep is how long results are kept. Defaults to 24 h.
	Keep time.Duration

	// InTransaction handles messages that have a key in a transaction of the store, in which the result is kept too: what
	// the handler writes to the same store takes effect exactly once, across crashes as well. It takes the place of
	// Transaction then, which is put after this step for the messages without a key. Needs a backend with transactions.
	// Defaults to false.
	InTransaction bool

	// Lease is how long a key stays taken after the process that handles it has died. Defaults to 15 s.
	Lease time.Duration

	// OnError is told of faults of the store that the message itself survives. Defaults to a warning in slog.Default().
	OnError func(err error)
}

// kept is what is stored under a key.
type kept struct {
	Message string          `json:"message"` // the hash of its content
	Result  json.RawMessage `json:"result,omitempty"`
}

type idempotent struct {
	store *store.Store
	o     IdempotentOptions
}

// Idempotent handles a command or event with an idempotency key once: its result is kept in the store, as JSON, and whoever
// sends it again gets that result. Those that come while it is being handled, here or in another process, wait for it. A
// failure is not kept: the next one with the key is handled. The same key with other content is ErrKeyReused. Keys belong
// to a message's name, an event's handler, and the tenant. Queries pass.
//
// When the process dies after the handler and before the result is kept, the next one with the key has the handler called
// again, unless InTransaction is set: so let what it does be known by the key.
func Idempotent(s *store.Store, o IdempotentOptions) (Step, error) {
	if o.Key == nil {
		o.Key = ownKey
	}
	if o.Keep == 0 {
		o.Keep = 24 * time.Hour
	}
	if o.Lease == 0 {
		o.Lease = 15 * time.Second
	}
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Default().Warn("idempotency", slog.Any("error", err)) }
	}
	if o.Keep < 0 || o.Lease < 0 {
		return nil, fmt.Errorf("idempotent handling: keep %v, lease %v: must not be negative", o.Keep, o.Lease)
	}
	if _, ok := s.Backend().(store.Transactor); o.InTransaction && !ok {
		return nil, fmt.Errorf("idempotent handling in a transaction: %w", store.ErrUnsupported)
	}
	i := &idempotent{store: s, o: o}
	return i.step, nil
}

func ownKey(c Call) string {
	if keyed, ok := c.Payload().(interface{ IdempotencyKey() string }); ok {
		return keyed.IdempotencyKey()
	}
	return ""
}

func (i *idempotent) step(ctx context.Context, c Call, next Next) error {
	if c.Kind() == Query {
		return next(ctx)
	}
	key := i.o.Key(c)
	if key == "" {
		return next(ctx)
	}
	err := i.once(ctx, c, key, next)
	if err != nil {
		return fmt.Errorf("%s with the idempotency key %q: %w", title(c), key, err)
	}
	return nil
}

func (i *idempotent) once(ctx context.Context, c Call, key string, next Next) error {
	if inTransaction(ctx, i.store) {
		return errors.New("the step Idempotent must stand outside of a transaction, where others see its lease")
	}
	if c.Kind() == Command && c.Result() == nil {
		return errors.New("its handler's result is of an interface type, which cannot be kept: give it a type of its own")
	}
	content, err := json.Marshal(c.Payload())
	if err != nil {
		return err
	}
	var (
		place  = hash([]byte(string(c.Kind()) + "\n" + c.Name() + "\n" + c.Handler() + "\n" + event.MetadataFrom(ctx).Tenant + "\n" + key))
		holder = lease.NewHolder(i.store, leaseBucket, place, i.o.Lease) // one for each: a holder takes its own leases over
		k      = kept{Message: hash(content)}
	)
	for {
		if found, err := i.recall(ctx, c, place, k.Message); found || err != nil {
			return err
		}
		l, err := holder.Acquire(ctx, place)
		if err == nil {
			return i.hold(ctx, l, func(ctx context.Context) error { return i.handle(ctx, c, place, k, next) })
		}
		if !errors.Is(err, lease.ErrHeld) {
			return err
		}
		if !pause(ctx, min(50*time.Millisecond, i.o.Lease)) {
			return fmt.Errorf("wait for the one that is being handled: %w", context.Cause(ctx))
		}
	}
}

// recall gives the call the result that is kept, if there is one.
func (i *idempotent) recall(ctx context.Context, c Call, place, content string) (found bool, err error) {
	record, err := i.store.Get(ctx, keptBucket, place)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var k kept
	if err := json.Unmarshal(record.Value, &k); err != nil {
		return false, fmt.Errorf("the result that is kept: %w", err)
	}
	if k.Message != content {
		return false, ErrKeyReused
	}
	if c.Kind() == Event {
		return true, nil
	}
	result := reflect.New(reflect.TypeOf(c.Result()))
	if err := json.Unmarshal(k.Result, result.Interface()); err != nil {
		return false, fmt.Errorf("the result that is kept: %w", err)
	}
	return true, c.SetResult(result.Elem().Interface())
}

// handle calls the handler, unless the one before us has finished meanwhile, and keeps the result.
func (i *idempotent) handle(ctx context.Context, c Call, place string, k kept, next Next) error {
	if found, err := i.recall(ctx, c, place, k.Message); found || err != nil {
		return err
	}
	run := func(ctx context.Context) error {
		if err := next(ctx); err != nil {
			return err
		}
		var err error
		if k.Result, err = json.Marshal(c.Result()); err == nil {
			err = i.keep(ctx, place, k)
		}
		return err
	}
	if i.o.InTransaction {
		return transact(ctx, i.store, run)
	}
	return run(ctx)
}

func (i *idempotent) keep(ctx context.Context, place string, k kept) error {
	value, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if !i.o.InTransaction { // what was done is noted, whoever stops
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), i.o.Lease)
		defer cancel()
	}
	_, err = i.store.Apply(ctx, store.Put(keptBucket, place, value).When(store.IfAbsent()).For(i.o.Keep))
	switch {
	case err == nil:
		return nil
	case i.o.InTransaction:
		return fmt.Errorf("keep its result: %w", err)
	default: // it is done: its caller gets the result, and the next one with the key may do it again
		i.o.OnError(fmt.Errorf("keep a result: %w", err))
		return nil
	}
}

// hold renews the lease while f runs. The context that f gets ends when the lease is lost.
func (i *idempotent) hold(ctx context.Context, l *lease.Lease, f func(ctx context.Context) error) error {
	working, stop := l.Hold(ctx, func(err error) { i.o.OnError(fmt.Errorf("hold an idempotency key: %w", err)) })
	defer func() {
		stop()
		if err := l.Release(context.WithoutCancel(ctx)); err != nil && !errors.Is(err, lease.ErrLost) { // it expires then
			i.o.OnError(fmt.Errorf("release an idempotency key: %w", err))
		}
	}()
	return f(working)
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
