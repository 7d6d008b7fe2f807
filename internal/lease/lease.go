package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrLost: the lease has expired, or somebody else holds it.
	ErrLost = errcode.New(errcode.Fenced, "the lease is lost")
	// ErrHeld: somebody else holds the lease.
	ErrHeld = errcode.New(errcode.Fenced, "held by another")
)

// HeldError says who holds a lease.
type HeldError struct{ Key, Owner string }

// Error implements error.
func (e *HeldError) Error() string { return fmt.Sprintf("lease %s is held by %s", e.Key, e.Owner) }

// ErrorCode implements errcode.Coded.
func (*HeldError) ErrorCode() errcode.Code { return errcode.Fenced }

// Is makes errors.Is(err, ErrHeld) true.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// Holder acquires leases on behalf of one owner. It is safe for concurrent use.
type Holder struct {
	store  *store.Store
	bucket string
	owner  string
	ttl    time.Duration
	token  string       // tells this holder from others that give themselves the same owner
	count  atomic.Int64 // of acquisitions, so that each record is of one of them
}

// NewHolder makes a holder of leases in a bucket. Its leases last ttl from each renewal. It does no I/O.
func NewHolder(s *store.Store, bucket, owner string, ttl time.Duration) *Holder {
	return &Holder{store: s, bucket: bucket, owner: owner, ttl: ttl, token: event.NewID().String()}
}

// record is what is stored.
type record struct {
	Owner string `json:"owner"`
	Token string `json:"token"` // of the holder, a dot, the number of its acquisition
}

func (h *Holder) mine(r record) bool { return strings.HasPrefix(r.Token, h.token+".") }

func (h *Holder) next() record {
	return record{Owner: h.owner, Token: fmt.Sprintf("%s.%d", h.token, h.count.Add(1))}
}

// put gives the operation that writes the record, and makes it last ttl.
func (h *Holder) put(key string, r record) store.Op {
	value, _ := json.Marshal(r) // two strings: cannot fail
	return store.Put(h.bucket, key, value).For(h.ttl)
}

func (h *Holder) get(ctx context.Context, key string) (record, store.Revision, error) {
	stored, err := h.store.Get(ctx, h.bucket, key)
	if err != nil {
		return record{}, 0, err
	}
	var r record
	if err := json.Unmarshal(stored.Value, &r); err != nil {
		return record{}, 0, fmt.Errorf("lease %s: %w: %w", key, store.ErrCorrupt, err)
	}
	return r, stored.Revision, nil
}

// Lease is a lease that is held, or was. It is safe for concurrent use.
type Lease struct {
	holder *Holder
	key    string
	record record
	epoch  store.Revision

	mu       sync.Mutex
	revision store.Revision
	until    time.Time
}

// Acquire takes a lease, or gives a *HeldError. An error of the backend leaves it open whether the lease was taken: it
// then expires by itself, or Acquire is called again and takes it over.
func (h *Holder) Acquire(ctx context.Context, key string) (*Lease, error) {
	l := &Lease{holder: h, key: key, record: h.next()}
	var expected store.Revision
	for try := 0; ; try++ {
		begun := time.Now()
		revisions, err := h.store.Apply(ctx, h.put(key, l.record).When(store.IfRevision(expected)))
		if err == nil {
			l.epoch, l.revision, l.until = revisions[0], revisions[0], begun.Add(h.ttl)
			return l, nil
		}
		found, revision, missing := h.get(ctx, key)
		switch {
		case errors.Is(missing, store.ErrNotFound) && errors.Is(err, store.ErrConflict) && try < 3:
			expected = 0 // it has expired or was released just now
		case missing != nil && errors.Is(err, store.ErrConflict): // somebody has it, but who?
			return nil, fmt.Errorf("acquire lease %s: %w", key, missing)
		case missing != nil:
			return nil, fmt.Errorf("acquire lease %s: %w", key, err)
		case found == l.record: // the answer was lost, the write was not
			l.epoch, l.revision, l.until = revision, revision, begun.Add(h.ttl)
			return l, nil
		case h.mine(found) && try < 3: // left over from an attempt of which nobody knew whether it had succeeded
			expected = revision
		default:
			return nil, &HeldError{Key: key, Owner: found.Owner}
		}
	}
}

// Epoch grows from each acquisition of a lease to the next, whoever acquires it.
func (l *Lease) Epoch() int64 { return int64(l.epoch) }

// Until is when the lease ends unless it is renewed, by the clock of this process, on the safe side.
func (l *Lease) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// Renew makes the lease last for its whole time again. It gives ErrLost when the lease is over; after any other error
// it goes on until the time that Until gives, and Renew may be called again.
func (l *Lease) Renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.holder
	for range 3 {
		begun := time.Now()
		if !begun.Before(l.until) {
			return fmt.Errorf("renew lease %s: %w: it was not renewed in time", l.key, ErrLost)
		}
		revisions, err := h.store.Apply(ctx, h.put(l.key, l.record).When(store.IfRevision(l.revision)))
		if err == nil {
			l.revision, l.until = revisions[0], begun.Add(h.ttl)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("renew lease %s: %w", l.key, err)
		}
		// Perhaps it was an earlier renewal of ours whose answer was lost.
		found, revision, err := h.get(ctx, l.key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("renew lease %s: %w: it has expired", l.key, ErrLost)
		case err != nil:
			return fmt.Errorf("renew lease %s: %w", l.key, err)
		case found != l.record:
			return fmt.Errorf("renew lease %s: %w: %w", l.key, ErrLost, &HeldError{Key: l.key, Owner: found.Owner})
		}
		l.revision = revision
	}
	return fmt.Errorf("renew lease %s: %w: its record keeps changing", l.key, store.ErrUnavailable)
}

// Release gives the lease back. One that is lost already is none of our business any more, and no error.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.holder
	for range 3 {
		l.until = time.Time{}
		_, err := h.store.Apply(ctx, store.Delete(h.bucket, l.key).When(store.IfRevision(l.revision)))
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("release lease %s: %w", l.key, err)
		}
		found, revision, err := h.get(ctx, l.key)
		if errors.Is(err, store.ErrNotFound) || err == nil && found != l.record {
			return nil
		}
		if err != nil {
			return fmt.Errorf("release lease %s: %w", l.key, err)
		}
		l.revision = revision
	}
	return fmt.Errorf("release lease %s: %w: its record keeps changing", l.key, store.ErrUnavailable)
}
