package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Comparison are the settings of Compare; the zero value works.
type Comparison struct {
	// UpTo compares the logs up to this position alone: where a copy has ended, while the source may grow. Defaults to 0:
	// all, so that both must end at one position.
	UpTo event.Position

	// Records compares the keyed records too, leases left out. Defaults to false.
	Records bool

	// MaxDifferences is how many to describe; further ones are counted. Defaults to 20.
	MaxDifferences int

	// Progress is called after every thousand events. Defaults to none.
	Progress func(Progress)
}

// Compared is the outcome of a comparison.
type Compared struct {
	Position    event.Position `json:"position"` // up to which was compared
	Source      Content        `json:"source"`
	Target      Content        `json:"target"`
	Differences []Difference   `json:"differences"` // the first ones: events by position, then streams, then records
	More        int64          `json:"more_differences"`
}

// Content is what one end holds.
type Content struct {
	Events  int64  `json:"events"`
	Streams int64  `json:"streams"` // but for those that have grown behind the end of the comparison
	Removed int64  `json:"removed"` // events accounted as truncated
	Records int64  `json:"records"`
	SHA256  string `json:"sha256"` // of all events, each in a canonical form
}

// OK reports whether both ends hold the same.
func (c *Compared) OK() bool { return len(c.Differences) == 0 && c.More == 0 }

// Compare reads all of two stores, side by side, and gives what is not the same: of the logs every field of every event,
// and a hash over all of them; of the streams their versions, beginnings and ends; how many events each has lost by
// truncation. Nobody should truncate or delete streams meanwhile. It holds a few pages of both in memory, however long
// they are.
func Compare(ctx context.Context, from, to *store.Store, o Comparison) (Compared, error) {
	if o.MaxDifferences == 0 {
		o.MaxDifferences = 20
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	c := comparer{from: from, to: to, o: o, done: Compared{Differences: []Difference{}}}
	for _, step := range []func(context.Context) error{c.heads, c.events, c.streams, c.removals, c.records} {
		if err := step(ctx); err != nil {
			return c.done, fmt.Errorf("compare: %w", err)
		}
	}
	return c.done, nil
}

type comparer struct {
	from, to *store.Store
	o        Comparison
	done     Compared
}

func (c *comparer) differ(d Difference) {
	if len(c.done.Differences) < c.o.MaxDifferences {
		c.done.Differences = append(c.done.Differences, d)
	} else {
		c.done.More++
	}
}

// heads finds out how far to compare.
func (c *comparer) heads(ctx context.Context) error {
	c.done.Position = c.o.UpTo
	if c.o.UpTo > 0 {
		return nil
	}
	theirs, err := c.to.Head(ctx)
	if err != nil {
		return wrap("target", err)
	}
	ours, err := c.from.Head(ctx)
	c.done.Position = max(ours, theirs)
	return wrap("source", err)
}

// side is one of the logs.
type side struct {
	*puller[event.Recorded]
	content *Content
	hash    hash.Hash
	buffer  []byte
}

func (c *comparer) side(ctx context.Context, end string, s *store.Store, content *Content) *side {
	return &side{puller: pull(end, s.ReadLog(ctx, store.LogRead{To: c.done.Position})), content: content, hash: sha256.New()}
}

// take gives the next event, counted and hashed.
func (s *side) take() *event.Recorded {
	e := s.next()
	if e != nil {
		s.content.Events++
		s.buffer = appendCanonical(s.buffer[:0], e)
		_, _ = s.hash.Write(s.buffer) // a hash takes everything
	}
	return e
}

func (c *comparer) events(ctx context.Context) error {
	left, right := c.side(ctx, "source", c.from, &c.done.Source), c.side(ctx, "target", c.to, &c.done.Target)
	defer left.stop()
	defer right.stop()
	if c.done.Position > 0 {
		if err := c.sideBySide(left, right); err != nil {
			return err
		}
	}
	c.done.Source.SHA256, c.done.Target.SHA256 = hex.EncodeToString(left.hash.Sum(nil)), hex.EncodeToString(right.hash.Sum(nil))
	return nil
}

func (c *comparer) sideBySide(left, right *side) error {
	for l, r := left.take(), right.take(); ; {
		switch {
		case left.err != nil:
			return left.err
		case right.err != nil:
			return right.err
		case l == nil && r == nil:
			return nil
		}
		from, to := l, r
		if l == nil || r != nil && r.Position < l.Position {
			from = nil
		} else if r == nil || l.Position < r.Position {
			to = nil
		}
		if d, different := differs(from, to); different {
			c.differ(d)
		}
		if from != nil {
			l = left.take()
		}
		if to != nil {
			r = right.take()
		}
		if n := c.done.Source.Events; n%1000 == 0 && l != nil {
			c.o.Progress(Progress{Position: l.Position, Head: c.done.Position, Events: n})
		}
	}
}

// streams compares what the stores say of each stream, but for those that have grown behind the end of the comparison.
func (c *comparer) streams(ctx context.Context) error {
	left := pull("source", c.from.Streams(ctx, store.StreamsRead{}))
	right := pull("target", c.to.Streams(ctx, store.StreamsRead{}))
	defer left.stop()
	defer right.stop()
	for l, r := left.next(), right.next(); ; {
		switch {
		case left.err != nil:
			return left.err
		case right.err != nil:
			return right.err
		case l == nil && r == nil:
			return nil
		}
		from, to := l, r
		if l == nil || r != nil && r.Stream < l.Stream {
			from = nil
		} else if r == nil || l.Stream < r.Stream {
			to = nil
		}
		if !c.grown(from) && !c.grown(to) {
			c.stream(from, to)
		}
		if from != nil {
			l = left.next()
		}
		if to != nil {
			r = right.next()
		}
	}
}

func (c *comparer) grown(s *store.StreamInfo) bool { return s != nil && s.Position > c.done.Position }

func (c *comparer) stream(from, to *store.StreamInfo) {
	if from != nil {
		c.done.Source.Streams++
	}
	if to != nil {
		c.done.Target.Streams++
	}
	d := Difference{Field: "stream"}
	switch {
	case from == nil:
		d.Stream, d.To = to.Stream, fmt.Sprintf("versions %d to %d", to.First, to.Version)
	case to == nil:
		d.Stream, d.From = from.Stream, fmt.Sprintf("versions %d to %d", from.First, from.Version)
	default:
		d.Stream = from.Stream
		for _, f := range [...]struct{ name, from, to string }{
			{"version", number(from.Version), number(to.Version)},
			{"first", number(from.First), number(to.First)},
			{"position", number(from.Position), number(to.Position)},
			{"deleted", strconv.FormatBool(from.Deleted), strconv.FormatBool(to.Deleted)},
			{"created_at", shownTime(from.CreatedAt), shownTime(to.CreatedAt)},
			{"updated_at", shownTime(from.UpdatedAt), shownTime(to.UpdatedAt)},
		} {
			if f.from != f.to {
				d.Field, d.From, d.To = f.name, f.from, f.to
				c.differ(d)
			}
		}
		return
	}
	c.differ(d)
}

func number[N ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }

// removals compares how many events the stores account as removed, stream by stream.
func (c *comparer) removals(ctx context.Context) error {
	for p, err := range merge(ctx, c.from, c.to, store.TruncatedBucket) {
		var r removal
		if err == nil {
			r, err = p.removal()
		}
		if err != nil {
			return err
		}
		c.done.Source.Removed += r.from
		c.done.Target.Removed += r.to
		if r.from != r.to {
			c.differ(Difference{Stream: r.stream, Field: "removed", From: number(r.from), To: number(r.to)})
		}
	}
	return nil
}

// records compares the keyed records.
func (c *comparer) records(ctx context.Context) error {
	if !c.o.Records {
		return nil
	}
	buckets, err := bucketsOf(ctx, c.from, c.to)
	if err != nil {
		return err
	}
	for _, bucket := range buckets {
		for p, err := range withoutLeases(ctx, c.from, c.to, bucket) {
			if err != nil {
				return err
			}
			c.record(p)
		}
	}
	return nil
}

func (c *comparer) record(p pair) {
	d := Difference{Field: "record"}
	describe := func(r *store.Record, counted *int64) string {
		if r == nil {
			return ""
		}
		*counted++
		d.Bucket, d.Key = r.Bucket, r.Key
		return fmt.Sprintf("revision %d, %s", r.Revision, shown(r.Value))
	}
	d.From, d.To = describe(p.from, &c.done.Source.Records), describe(p.to, &c.done.Target.Records)
	if !p.same() {
		c.differ(d)
	}
}
