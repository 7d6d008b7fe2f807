package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// CompareTransformed proves that a copy with a transform is what it should be: it lets a new transform run over all of the
// source up to TransformOptions.UpTo, and compares what it gives, event by event and by a hash over all, with what the
// target holds. It relies on nothing that the copy has noted. Events of streams that were deleted since are left out. In
// the outcome, Source stands for what the transform gives.
func CompareTransformed(ctx context.Context, from, to *store.Store, fresh func() Transform, o TransformOptions) (Compared, error) {
	o = o.withDefaults()
	if o.MaxExamples == 0 {
		o.MaxExamples = 20
	}
	done := Compared{Differences: []Difference{}, Position: o.UpTo}
	if err := o.validate(from, to, fresh); err != nil {
		return done, fmt.Errorf("compare with a transform: %w", err)
	}
	v := verifier{maker: newMaker(from, to, fresh, &o), comparer: comparer{to: to, o: Comparison{MaxDifferences: o.MaxExamples}, done: done}}
	if err := v.run(ctx); err != nil {
		return v.done, fmt.Errorf("compare with a transform: %w", err)
	}
	return v.done, nil
}

type verifier struct {
	*maker
	comparer
}

func (v *verifier) run(ctx context.Context) error {
	if v.done.Position == 0 {
		head, err := v.maker.from.Head(ctx)
		if err != nil {
			return wrap("source", err)
		}
		v.done.Position = head
	}
	filter := store.Filter{Categories: v.maker.o.Into}
	made := pull("transform", v.outputs(ctx))
	there := pull("target", v.to.ReadLog(ctx, store.LogRead{Filter: filter}))
	defer made.stop()
	defer there.stop()
	left, right := sum{content: &v.done.Source, hash: sha256.New()}, sum{content: &v.done.Target, hash: sha256.New()}
	for m, t := made.next(), there.next(); m != nil || t != nil; {
		if t != nil && t.IsTombstone() {
			t = there.next()
			continue
		}
		if m != nil && (m.IsTombstone() || t == nil || m.ID != t.ID) {
			gone := m.IsTombstone()
			if !gone {
				info, err := v.to.StreamInfo(ctx, m.Stream)
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return wrap("target", err)
				}
				gone = err == nil && info.Deleted
			}
			if gone {
				m = made.next()
				continue
			}
		}
		switch {
		case m == nil, t == nil:
			if d, different := differs(m, t); different {
				v.differ(d)
			}
		default:
			if d, different := differsOutput(m, t); different {
				v.differ(d)
			}
		}
		if m != nil {
			left.add(m)
			m = made.next()
		}
		if t != nil {
			right.add(t)
			t = there.next()
		}
	}
	v.done.Source.SHA256, v.done.Target.SHA256 = hex.EncodeToString(left.hash.Sum(nil)), hex.EncodeToString(right.hash.Sum(nil))
	return errors.Join(made.err, there.err)
}

// outputs yields all that the transform gives.
func (v *verifier) outputs(ctx context.Context) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		m := v.maker
		for m.at < v.done.Position {
			events, err := m.read(ctx, v.done.Position)
			var steps []step
			if err == nil {
				steps, err = m.chunk(events, v.done.Position)
			}
			if err != nil {
				yield(event.Recorded{}, err)
				return
			}
			m.o.Progress(Progress{Position: m.at, Head: v.done.Position, Events: v.done.Source.Events})
			if !v.yield(steps, yield) {
				return
			}
		}
		last, err := m.end()
		if err != nil {
			yield(event.Recorded{}, err)
			return
		}
		v.yield([]step{last}, yield)
	}
}

func (v *verifier) yield(steps []step, yield func(event.Recorded, error) bool) bool {
	for _, s := range steps {
		for _, e := range s.events {
			if !yield(e, nil) {
				return false
			}
		}
	}
	return true
}

// sum counts and hashes one side.
type sum struct {
	content *Content
	hash    hash.Hash
	buffer  []byte
}

// add takes what a transform decides of an event: not its place, nor when it was recorded.
func (s *sum) add(e *event.Recorded) {
	only := *e
	only.Position, only.Version, only.RecordedAt = 0, 0, only.OccurredAt
	s.content.Events++
	s.buffer = appendCanonical(s.buffer[:0], &only)
	_, _ = s.hash.Write(s.buffer) // a hash takes everything
}
