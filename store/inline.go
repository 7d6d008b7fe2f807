package store

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
)

// Inline is told of what a commit has stored, in the transaction of that commit. When it fails, so does the commit.
type Inline func(ctx context.Context, events []event.Recorded) error

// AddInline makes every commit through this Store run in a transaction and call hook before the end of it, with a context
// that belongs to the transaction; within a Transact of the caller that is the caller's. A duplicate, which stores nothing,
// does not call it. Appends of other processes, and tombstones, do not call it either: a hook that must not miss events
// looks whether the first position is the one it expects. Commits no longer share a flush with others then. A backend
// without transactions gives ErrUnsupported.
func (s *Store) AddInline(hook Inline) error {
	if _, ok := s.backend.(Transactor); !ok {
		return fmt.Errorf("add to the transaction of each append: %w", ErrUnsupported)
	}
	for {
		old := s.inline.Load()
		hooks := []Inline{hook}
		if old != nil {
			hooks = append(append([]Inline(nil), *old...), hook)
		}
		if s.inline.CompareAndSwap(old, &hooks) {
			return nil
		}
	}
}

type inlineKey struct{ s *Store }

var errNested = errors.New("code that runs in the transaction of an append must not append")

// commitInline stores a prepared commit and calls the hooks, in one transaction.
func (s *Store) commitInline(ctx context.Context, c Commit, hooks []Inline) (Result, error) {
	if ctx.Value(inlineKey{s}) != nil {
		return Result{}, errNested
	}
	var res Result
	err := s.Transact(ctx, func(ctx context.Context) error {
		var err error
		if res, err = s.backend.Append(ctx, c); err != nil || res.Duplicate {
			return err
		}
		var events []event.Recorded
		for e, err := range s.backend.ReadLog(ctx, LogRead{From: res.First, To: res.Last}) {
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		ctx = context.WithValue(ctx, inlineKey{s}, true)
		for _, hook := range hooks {
			if err := hook(ctx, events); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	return res, nil
}
