package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

const (
	streams     = 200
	poisonEvery = 997
	pause       = 4 * time.Millisecond // of each writer between two appends: consumers and writers share the machine
)

// load counts what was appended.
type load struct {
	appended, poisoned atomic.Int64
}

// write appends one to three events at a time to random streams until ctx ends.
func (l *load) write(ctx context.Context, s *store.Store) error {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		pending := make([]event.Pending, 1+rand.N(3))
		bad := int64(0)
		for i := range pending {
			data, err := json.Marshal(added{N: rand.Int64N(1000)})
			if err != nil {
				return err
			}
			pending[i] = event.Pending{Type: typeAdded, Data: data}
			if rand.N(poisonEvery) == 0 {
				pending[i].Type = typePoisoned
				bad++
			}
		}
		// A writer ends between two appends, so that what was appended is known.
		if _, err := s.Append(context.WithoutCancel(ctx), streamName(rand.N(streams)), store.Any(), pending...); err != nil {
			return err
		}
		l.appended.Add(int64(len(pending)))
		l.poisoned.Add(bad)
	}
}

func streamName(n int) event.StreamID { return event.StreamID(fmt.Sprintf("account-%03d", n)) }
