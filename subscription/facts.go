package subscription

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lexigram.dev/events/store"
)

// facts are the status record of one partition: what the checkpoint does not tell. It expires with its owner, but a fault
// stays until somebody runs the partition again or an operator resumes the subscription.
type facts struct {
	State        State         `json:"state"`
	Owner        string        `json:"owner"`
	Epoch        int64         `json:"epoch"`
	Error        string        `json:"error,omitempty"`
	Attempts     int           `json:"attempts,omitempty"`
	Source       string        `json:"source"` // of dead letters
	StalledAfter time.Duration `json:"stalled_after_ns"`
}

// put fills in what the owner knows.
func (f facts) put(key string, s *Subscription, w *worker) store.Op {
	f.Owner, f.Epoch, f.StalledAfter, f.Source = s.o.Owner, w.lease.Epoch(), s.o.StalledAfter, s.o.Source
	value, _ := json.Marshal(f) // strings and numbers: cannot fail
	op := store.Put(statusBucket, key, value)
	if f.State != StateFaulted {
		op = op.For(s.o.Lease)
	}
	return op
}

// faulted is what stays behind when the worker has failed for good.
func (r *report) faulted(err error) facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return facts{State: StateFaulted, Error: err.Error()}
}

func loadFacts(ctx context.Context, s *store.Store, name string) (map[string]facts, error) {
	found := map[string]facts{}
	for r, err := range s.Scan(ctx, store.Prefix(statusBucket, name+"/")) {
		if err != nil {
			return nil, err
		}
		var f facts
		if err := json.Unmarshal(r.Value, &f); err != nil {
			return nil, fmt.Errorf("status record %s: %w: %w", r.Key, store.ErrCorrupt, err)
		}
		found[r.Key] = f
	}
	return found, nil
}
