package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// The buckets of the server. Keys are of the topic and a request's id, or an idempotency key.
const (
	claimBucket  = "$remote-claims"  // the requests without a key that were begun
	leaseBucket  = "$remote-leases"  // the keys that are being handled
	resultBucket = "$remote-results" // what came out, by key
)

// clockSkew is by how much the clocks of clients, servers and the store may differ before a request can be handled after
// its claim has expired.
const clockSkew = time.Hour

// leaseTTL is how long a key stays taken after the process that handles it has died.
const leaseTTL = 15 * time.Second

// leasePoll is how often one that waits for another's lease looks.
const leasePoll = 50 * time.Millisecond

// atMostOnce handles a request unless somebody has begun with it. No outcome and no error: somebody has. An error: it was
// not begun.
func (s *Server) atMostOnce(ctx context.Context, r *incoming) (*outcome, error) {
	mine, err := s.claim(ctx, r)
	if err != nil {
		return nil, err
	}
	if !mine {
		s.report(r, "leave it alone", errors.New("it was delivered again, and its handling was begun before"))
		return nil, nil
	}
	o, _ := s.run(ctx, r)
	return &o, nil
}

// claim takes a request for this delivery, for ever: when the claim expires, so has the request.
func (s *Server) claim(ctx context.Context, r *incoming) (mine bool, err error) {
	key, token := s.key(r.id), event.NewID().String()
	last := r.deadline.Sub(s.o.Now()) + 2*clockSkew
	err = s.insist(ctx, r, "claim it", func() error {
		_, err := s.store.Apply(ctx, store.Put(claimBucket, key, []byte(token)).When(store.IfAbsent()).For(last))
		if !errors.Is(err, store.ErrConflict) {
			mine = err == nil
			return err
		}
		found, err := s.store.Get(ctx, claimBucket, key)
		mine = err == nil && string(found.Value) == token // written by an attempt whose answer was lost
		return err
	})
	return mine, err
}

// oncePerKey gives the result that is kept under the request's idempotency key, or handles it and keeps the result. An
// error: it was not begun.
func (s *Server) oncePerKey(ctx context.Context, r *incoming) (*outcome, error) {
	scope := r.name + "\n" + r.metadata.Tenant + "\n" + r.once
	key := s.key(scope)
	if kept, err := s.kept(ctx, r, key); kept != nil || err != nil {
		return kept, err
	}
	lease, err := s.acquire(ctx, r, key)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := lease.Release(context.WithoutCancel(ctx)); err != nil { // it expires then
			s.report(r, "release its key", err)
		}
	}()
	if kept, err := s.kept(ctx, r, key); kept != nil || err != nil { // the one before us has finished
		return kept, err
	}
	working, stop := lease.Hold(context.WithValue(ctx, keyContext{}, s.topic+"\n"+scope), func(err error) { s.report(r, "hold its key", err) })
	o, keeping := s.runAndKeep(working, r, key)
	stop()
	switch {
	case errors.Is(keeping, store.ErrConflict): // somebody took over, and was first
		s.report(r, "keep its result", fmt.Errorf("another process has handled the command too: %w", keeping))
		return s.kept(ctx, r, key)
	case keeping != nil && s.o.InTransaction: // rolled back, or perhaps not: the client asks again, with the key
		s.report(r, "handle it in a transaction", keeping)
		o = s.failure(keeping)
	case keeping != nil:
		s.report(r, "keep its result", keeping)
	}
	return &o, nil
}

// runAndKeep calls the handler, and keeps what came out if it succeeded. The error is one of keeping.
func (s *Server) runAndKeep(ctx context.Context, r *incoming, key string) (o outcome, keeping error) {
	if !s.o.InTransaction {
		o, failure := s.run(ctx, r)
		if failure != nil {
			return o, nil
		}
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting) // what was done is noted, whoever stops
		defer cancel()
		return o, s.insist(after, r, "keep its result", func() error { return s.keep(after, r, key, o) })
	}
	var failure error
	err := s.store.Transact(ctx, func(ctx context.Context) error {
		if o, failure = s.run(ctx, r); failure != nil {
			return failure
		}
		return s.keep(ctx, r, key, o)
	})
	if failure != nil { // the handler's, and all is undone
		return o, nil
	}
	return o, err
}

// result is what is kept under a key.
type result struct {
	Command string  `json:"command"` // the hash of its data
	Request string  `json:"request"` // the first with the key
	Outcome outcome `json:"outcome"`
}

func (s *Server) keep(ctx context.Context, r *incoming, key string, o outcome) error {
	value, err := json.Marshal(result{Command: hash(r.data), Request: r.id, Outcome: o})
	if err != nil {
		return err
	}
	_, err = s.store.Apply(ctx, store.Put(resultBucket, key, value).When(store.IfAbsent()).For(s.o.KeepResults))
	if errors.Is(err, store.ErrConflict) && !s.o.InTransaction {
		// Perhaps by an attempt of ours whose answer was lost.
		if found, missing := s.store.Get(ctx, resultBucket, key); missing == nil && string(found.Value) == string(value) {
			return nil
		}
	}
	return err
}

// kept gives the outcome under a key; nil where there is none.
func (s *Server) kept(ctx context.Context, r *incoming, key string) (*outcome, error) {
	var found *result
	err := s.insist(ctx, r, "look for the result under its key", func() error {
		record, err := s.store.Get(ctx, resultBucket, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			found = &result{}
			err = json.Unmarshal(record.Value, found)
		}
		return err
	})
	if err != nil || found == nil {
		return nil, err
	}
	if found.Command != hash(r.data) {
		o := failed(codeKeyReused, fmt.Errorf("%w, with other data: that of request %s", ErrKeyReused, found.Request))
		return &o, nil
	}
	return &found.Outcome, nil
}

// acquire takes the lease of a key, and waits while somebody else has it.
func (s *Server) acquire(ctx context.Context, r *incoming, key string) (*lease.Lease, error) {
	holder := lease.NewHolder(s.store, leaseBucket, r.id, leaseTTL) // one for each delivery: a holder takes its own leases over
	for {
		var l *lease.Lease // nil: somebody else has it
		err := s.insist(ctx, r, "take its key", func() (err error) {
			if l, err = holder.Acquire(ctx, key); errors.Is(err, lease.ErrHeld) {
				return nil
			}
			return err
		})
		if err != nil || l != nil {
			return l, err
		}
		if err := pause(ctx, leasePoll); err != nil {
			return nil, err
		}
	}
}

// insist waits out the faults of the store until ctx ends. A conflict is none.
func (s *Server) insist(ctx context.Context, r *incoming, what string, f func() error) error {
	retry := broker.Retry{}.WithDefaults()
	for failures := 1; ; failures++ {
		err := f()
		if err == nil || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrTooLarge) {
			return err
		}
		if ctx.Err() == nil {
			s.report(r, what, err)
		}
		if ended := pause(ctx, retry.Pause(failures)); ended != nil {
			return fmt.Errorf("%s: %w: %w", what, ended, err)
		}
	}
}

// key makes a record's key of a text of any length.
func (s *Server) key(text string) string {
	return event.DerivedID(event.ID{}, s.topic+"\n"+s.o.Group+"\n"+text).String()
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
