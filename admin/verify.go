package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Verify says how to prove that a store is whole.
type Verify struct {
	// Check looks at each event too, for example by decoding it with a schema registry. Defaults to none.
	Check func(*event.Recorded) error

	// MaxFaults is how many faults to describe; further ones are counted. Defaults to 100.
	MaxFaults int

	// MaxIDs is how many ids to hold in memory (24 bytes each) to prove them unique. A log of more events is read once
	// more for each further part of so many. Defaults to 4,000,000.
	MaxIDs int

	// Progress is called with the events read and about how many there are to read, after every thousand. Defaults to
	// none.
	Progress func(read, of int64)
}

// Fault is one thing that is wrong.
type Fault struct {
	Stream   event.StreamID `json:"stream,omitempty"`
	Version  event.Version  `json:"version,omitempty"`
	Position event.Position `json:"position,omitempty"`
	Problem  string         `json:"problem"`
}

// String says where the fault is, and what it is.
func (f Fault) String() string {
	var where []string
	if f.Stream != "" {
		where = append(where, "stream "+string(f.Stream))
	}
	if f.Version != 0 {
		where = append(where, fmt.Sprintf("version %d", f.Version))
	}
	if f.Position != 0 {
		where = append(where, fmt.Sprintf("position %d", f.Position))
	}
	if len(where) == 0 {
		return f.Problem
	}
	return strings.Join(where, ", ") + ": " + f.Problem
}

// Verified is the outcome of a verification.
type Verified struct {
	Head    event.Position `json:"head"` // the verification ended there
	Events  int64          `json:"events"`
	Streams int            `json:"streams"`
	Removed int64          `json:"removed"` // events accounted as truncated or deleted
	Faults  []Fault        `json:"faults"`
	More    int64          `json:"more_faults"` // those that are not described
}

// OK reports whether nothing was found to be wrong.
func (v *Verified) OK() bool { return len(v.Faults) == 0 && v.More == 0 }

// Verify reads the whole log up to the head as it is now, and proves that positions are gapless up to the removals that
// the store has accounted, that the versions of each stream are contiguous and agree with the store's list of streams,
// that event ids are unique, and that metadata and JSON data can be decoded. An error means that it could not be done;
// what is wrong with the store is in the outcome.
//
// It holds a small entry per stream, and ids as Verify.MaxIDs bounds.
func (a *Admin) Verify(ctx context.Context, o Verify) (Verified, error) {
	if o.MaxFaults == 0 {
		o.MaxFaults = 100
	}
	if o.MaxIDs == 0 {
		o.MaxIDs = 4_000_000
	}
	before, err := a.removals(ctx)
	if err != nil {
		return Verified{}, fmt.Errorf("verify: %w", err)
	}
	head, err := a.store.Head(ctx)
	if err != nil {
		return Verified{}, fmt.Errorf("verify: %w", err)
	}
	v := &verifier{
		store: a.store, options: o, outcome: Verified{Head: head, Faults: []Fault{}},
		streams: map[event.StreamID]*streamState{}, removed: before,
	}
	if err := v.run(ctx); err != nil {
		return v.outcome, fmt.Errorf("verify: after %d events: %w", v.outcome.Events, err)
	}
	after, err := a.removals(ctx)
	if err != nil {
		return v.outcome, fmt.Errorf("verify: %w", err)
	}
	if after.total != before.total {
		return v.outcome, errors.New("verify: events were truncated or deleted meanwhile: run it again")
	}
	return v.outcome, nil
}

// removals is how many events a store has removed, by stream.
type removals struct {
	total    int64
	byStream map[event.StreamID]int64
}

func (a *Admin) removals(ctx context.Context) (removals, error) {
	r := removals{byStream: map[event.StreamID]int64{}}
	for record, err := range a.store.Scan(ctx, store.Scan{Bucket: store.TruncatedBucket}) {
		if err != nil {
			return r, err
		}
		n, err := strconv.ParseInt(string(record.Value), 10, 64)
		if err != nil {
			return r, fmt.Errorf("record %s/%s: not a number of removed events: %w", record.Bucket, record.Key, err)
		}
		r.byStream[event.StreamID(record.Key)] = n
		r.total += n
	}
	return r, nil
}

// content checks what an event holds.
func (v *verifier) content(e *event.Recorded) {
	fault := func(format string, args ...any) {
		v.fault(Fault{Stream: e.Stream, Version: e.Version, Position: e.Position, Problem: fmt.Sprintf(format, args...)})
	}
	if e.ID.IsZero() {
		fault("the event has no id")
	}
	if _, err := e.Metadata(); err != nil {
		fault("%v", err)
	}
	if len(e.Data) > 0 && isJSON(e.ContentType) && !json.Valid(e.Data) { // an event may have no data at all
		fault("the data of this %s is not valid JSON, as its content type %s says", e.Type, e.ContentType)
	}
	if v.options.Check != nil {
		if err := v.options.Check(e); err != nil {
			fault("%v", err)
		}
	}
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return media == event.JSON || strings.HasSuffix(media, "+json")
}
