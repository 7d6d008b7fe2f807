package migrate

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// removal is of how many events of a stream the two stores say that they are removed; they do not say the same.
type removal struct {
	stream   event.StreamID
	from, to int64
}

// first is the version with which the stream begins in the source.
func (r removal) first() event.Version { return event.Version(r.from) + 1 }

// removals yields the streams, in byte order, of which the stores account different numbers of removed events.
func removals(ctx context.Context, from, to *store.Store) iter.Seq2[removal, error] {
	return func(yield func(removal, error) bool) {
		for pair, err := range merge(ctx, from, to, store.TruncatedBucket) {
			r := removal{}
			if err == nil {
				r, err = pair.removal()
			}
			if err == nil && r.from == r.to {
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func (p pair) removal() (removal, error) {
	var r removal
	for n, record := range map[*int64]*store.Record{&r.from: p.from, &r.to: p.to} {
		if record == nil {
			continue
		}
		value, err := strconv.ParseInt(string(record.Value), 10, 64)
		if err != nil {
			return r, fmt.Errorf("record %s/%s: %w: not a number of removed events", record.Bucket, record.Key, store.ErrCorrupt)
		}
		*n, r.stream = value, event.StreamID(record.Key)
	}
	return r, nil
}

// pair is a record in the two stores; nil where it is missing.
type pair struct{ from, to *store.Record }

// merge yields the records of a bucket of two stores, key by key, in byte order.
func merge(ctx context.Context, from, to *store.Store, bucket string) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		left := pull("source", from.Scan(ctx, store.Scan{Bucket: bucket}))
		right := pull("target", to.Scan(ctx, store.Scan{Bucket: bucket}))
		defer left.stop()
		defer right.stop()
		for l, r := left.next(), right.next(); l != nil || r != nil; {
			var order int
			switch {
			case l == nil:
				order = 1
			case r == nil:
				order = -1
			default:
				order = strings.Compare(l.Key, r.Key)
			}
			p := pair{}
			if order <= 0 {
				p.from, l = l, nil
			}
			if order >= 0 {
				p.to, r = r, nil
			}
			if !yield(p, nil) {
				return
			}
			if order <= 0 {
				l = left.next()
			}
			if order >= 0 {
				r = right.next()
			}
			if left.err != nil || right.err != nil {
				break
			}
		}
		for _, err := range []error{left.err, right.err} {
			if err != nil {
				yield(pair{}, err)
				return
			}
		}
	}
}

// puller takes one value after the other from a sequence.
type puller[T any] struct {
	end  string // of the copy, for errors
	pull func() (T, error, bool)
	stop func()
	err  error
}

func pull[T any](end string, seq iter.Seq2[T, error]) *puller[T] {
	p := &puller[T]{end: end}
	p.pull, p.stop = iter.Pull2(seq)
	return p
}

// next gives nil at the end, and after an error, which is kept.
func (p *puller[T]) next() *T {
	v, err, more := p.pull()
	if err != nil {
		p.err = fmt.Errorf("%s: %w", p.end, err)
	}
	if err != nil || !more {
		return nil
	}
	return &v
}
