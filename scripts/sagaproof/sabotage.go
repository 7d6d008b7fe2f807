package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"lexigram.dev/events/store"
)

// What -break can break.
const (
	breakCompensation = "skip-compensation" // one compensation of three does nothing, and says that it has
	breakFencing      = "ignore-fencing"    // a worker cares neither for others' leases nor for the version of a stream
	breakKeys         = "new-keys"          // each attempt has a key of its own
	breakUnknown      = "hide-unknown"      // a supplier whose answer is lost is said to have done nothing, and never to do it
)

func sabotages() []string { return []string{breakCompensation, breakFencing, breakKeys, breakUnknown} }

// unfenced is a backend for a worker who ignores the others: its leases and checkpoints are its own, and what it appends to
// a saga is appended whoever else was there.
type unfenced struct{ store.Backend }

// Append implements store.Backend.
func (u unfenced) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	c.Appends = slices.Clone(c.Appends)
	for i := range c.Appends {
		c.Appends[i].Expected = store.Any()
	}
	return u.Backend.Append(ctx, c)
}

// own gives the name of a worker's own bucket.
func own(bucket string) string {
	if strings.HasPrefix(bucket, "subscription/") {
		return fmt.Sprintf("%s/%d", bucket, os.Getpid())
	}
	return bucket
}

// Get implements store.Backend.
func (u unfenced) Get(ctx context.Context, bucket, key string) (store.Record, error) {
	return u.Backend.Get(ctx, own(bucket), key)
}

// Apply implements store.Backend.
func (u unfenced) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Bucket = own(ops[i].Bucket)
	}
	return u.Backend.Apply(ctx, ops)
}

// Scan implements store.Backend.
func (u unfenced) Scan(ctx context.Context, r store.Scan) iter.Seq2[store.Record, error] {
	r.Bucket = own(r.Bucket)
	return u.Backend.Scan(ctx, r)
}
