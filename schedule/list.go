package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Pending is a delivery that is scheduled.
type Pending struct {
	ID            string         `json:"id"`
	Kind          Kind           `json:"kind"`
	Due           time.Time      `json:"due"`            // in UTC
	Next          time.Time      `json:"next"`           // the next attempt; Due unless one has failed
	Cron          string         `json:"cron,omitempty"` // of one that recurs, with its zone
	Zone          string         `json:"zone,omitempty"`
	CatchUp       bool           `json:"catch_up,omitempty"`
	Stream        event.StreamID `json:"stream,omitempty"` // of an event
	Type          string         `json:"type"`
	ContentType   string         `json:"content_type"`
	Data          []byte         `json:"-"` // see MarshalJSON
	Metadata      event.Metadata `json:"metadata,omitzero"`
	Key           event.ID       `json:"key"`                     // of the next delivery: the event's id, or Info.Key
	Attempts      int            `json:"attempts,omitempty"`      // that have failed
	Interruptions int            `json:"interruptions,omitempty"` // attempts of processes that have died
	Error         string         `json:"error,omitempty"`         // of the last one
	DeliveringBy  string         `json:"delivering_by,omitempty"` // who makes it just now
}

// MarshalJSON writes data that is JSON as it is, as "data", and any other in base64, as "data_base64".
func (p Pending) MarshalJSON() ([]byte, error) {
	type plain Pending // without this method
	out := struct {
		plain
		JSON  json.RawMessage `json:"data,omitempty"`
		Other []byte          `json:"data_base64,omitempty"`
	}{plain: plain(p)}
	if json.Valid(p.Data) {
		out.JSON = p.Data
	} else {
		out.Other = p.Data
	}
	return json.Marshal(out)
}

func (f *found) describe() Pending {
	return Pending{
		ID: f.id, Kind: f.Kind, Due: time.UnixMicro(f.Due).UTC(), Next: time.UnixMicro(f.due).UTC(),
		Cron: f.Cron, Zone: f.Zone, CatchUp: f.CatchUp, Stream: f.Stream, Type: f.Type, ContentType: f.ContentType, Data: f.Data,
		Metadata: f.Metadata, Key: f.key(f.id), Attempts: f.Attempts, Interruptions: f.Interruptions, Error: f.Error, DeliveringBy: f.Claim,
	}
}

// Get gives one delivery. It gives ErrUnknown where it is not pending any more.
func (c *Control) Get(ctx context.Context, id string) (Pending, error) {
	f, err := c.find(ctx, id)
	if err != nil {
		return Pending{}, fmt.Errorf("get delivery %s: %w", abbreviate(id), err)
	}
	return f.describe(), nil
}

// Filter selects deliveries. The fields are ANDed; an empty field does not restrict.
type Filter struct {
	Kind   Kind
	Type   string
	Prefix string    // of the id
	From   time.Time // whose next attempt is then or later
	Before time.Time // whose next attempt is earlier
	Limit  int       // at most so many; 0: all
}

func (f *Filter) validate() error {
	switch {
	case f.Kind != "" && f.Kind != KindEvent && f.Kind != KindCommand:
		return invalid("kind %q: must be %s or %s", f.Kind, KindEvent, KindCommand)
	case f.Limit < 0:
		return invalid("limit %d: must not be negative", f.Limit)
	}
	return nil
}

func (f *Filter) matches(p *found) bool {
	return (f.Type == "" || p.Type == f.Type) && strings.HasPrefix(p.id, f.Prefix)
}

// List yields pending deliveries, those first whose next attempt is first. Deliveries may be made and scheduled meanwhile.
func (c *Control) List(ctx context.Context, f Filter) iter.Seq2[Pending, error] {
	return func(yield func(Pending, error) bool) {
		fail := func(err error) { yield(Pending{}, fmt.Errorf("list deliveries: %w", err)) }
		if err := f.validate(); err != nil {
			fail(err)
			return
		}
		var all []*pages
		for _, kind := range []Kind{KindEvent, KindCommand} {
			for i := range partitions {
				if f.Kind == "" || f.Kind == kind {
					all = append(all, newPages(c.store, prefixOf(kind, i), &f))
				}
			}
		}
		for left := f.Limit; ; {
			first, err := earliest(ctx, all)
			if err != nil {
				fail(err)
				return
			}
			if first == nil {
				return
			}
			if !f.matches(first) {
				continue
			}
			if !yield(first.describe(), nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// earliest takes the earliest of the first entries.
func earliest(ctx context.Context, all []*pages) (*found, error) {
	var best *pages
	for _, p := range all {
		if err := p.fill(ctx); err != nil {
			return nil, err
		}
		if len(p.page) > 0 && (best == nil || p.page[0].due < best.page[0].due) {
			best = p
		}
	}
	if best == nil {
		return nil, nil
	}
	first := best.page[0]
	best.page = best.page[1:]
	return first, nil
}

// listPage is how many entries of each agenda a list holds.
const listPage = 64

// pages walks one agenda a page at a time, and holds nothing of the backend in between.
type pages struct {
	store *store.Store
	scan  store.Scan
	page  []*found
	end   bool
}

func newPages(s *store.Store, prefix string, f *Filter) *pages {
	scan := store.Prefix(agendaBucket, prefix)
	scan.Limit = listPage
	if !f.From.IsZero() {
		scan.From = fmt.Sprintf("%s%016d", prefix, max(0, f.From.UnixMicro()))
	}
	if !f.Before.IsZero() {
		scan.To = fmt.Sprintf("%s%016d", prefix, max(0, f.Before.UnixMicro()))
	}
	return &pages{store: s, scan: scan}
}

func (p *pages) fill(ctx context.Context) error {
	if len(p.page) > 0 || p.end {
		return nil
	}
	for r, err := range p.store.Scan(ctx, p.scan) {
		if err != nil {
			return err
		}
		f, err := decodeEntry(&r)
		if err != nil {
			return err
		}
		p.page = append(p.page, f)
		p.scan.From = r.Key + "\x00"
	}
	p.end = len(p.page) < listPage
	return nil
}
