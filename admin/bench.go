package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Baseline is the bare driver's own speed on the same rows, table columns and indexes, without the store's promises.
// Each driver that has something to compare with offers one; it works in a scratch table of its own.
type Baseline interface {
	// Insert stores the rows in one transaction, by one unchecked INSERT each. It is safe for concurrent use.
	Insert(ctx context.Context, rows []event.Recorded) error
	// Bulk stores the rows in the fastest way that the driver has: COPY, or one transaction for all.
	Bulk(ctx context.Context, rows []event.Recorded) error
	// Read reads the store's own event table in order, touching all columns and decoding nothing.
	Read(ctx context.Context) (rows int64, err error)
	// SetPool sets how many connections Insert uses.
	SetPool(ctx context.Context, n int) error
	// Close drops the scratch table.
	Close() error
}

// benchCategory is the category of the streams that a benchmark writes to.
const benchCategory = "bench"

// errNotScratch keeps a benchmark out of a store that people use.
var errNotScratch = errors.New("the store holds events that are not a benchmark's: name a scratch store, or force it")

// checkScratch refuses a store that holds streams of other categories than the benchmark's own.
func (a *Admin) checkScratch(ctx context.Context) error {
	for _, r := range []store.StreamsRead{
		{Limit: 1},
		{Limit: 1, After: benchCategory + "."}, // "." is the byte after "-"
	} {
		for info, err := range a.store.Streams(ctx, r) {
			if err != nil {
				return err
			}
			if info.Stream.Category() != benchCategory {
				return fmt.Errorf("bench: %w (there is a stream %s)", errNotScratch, info.Stream)
			}
		}
	}
	return nil
}

// median of an odd or even number of figures; 0 of none.
func median(figures []float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(figures))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantile of durations in milliseconds; the slice is sorted in place.
func quantile(took []time.Duration, q float64) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[int(q*float64(len(took)-1))]) / float64(time.Millisecond)
}
