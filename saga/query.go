package saga

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Filter selects instances. The fields are ANDed; an empty field does not restrict.
type Filter struct {
	Saga          string
	Status        Status
	Correlation   string    // needs Saga
	StartedBefore time.Time // older ones only
	StartedAfter  time.Time // younger ones only
	Limit         int       // at most so many; 0: all
}

// List yields instances from the index, by saga and then the oldest first. The index follows the log: what has just
// happened may not be in it yet.
func (c *Control) List(ctx context.Context, f Filter) iter.Seq2[Instance, error] {
	return func(yield func(Instance, error) bool) {
		if err := f.validate(); err != nil {
			yield(Instance{}, fmt.Errorf("list sagas: %w", err))
			return
		}
		left := f.Limit
		for i, err := range c.find(ctx, f) {
			if err != nil {
				yield(Instance{}, fmt.Errorf("list sagas: %w", err))
				return
			}
			if !f.matches(&i) {
				continue
			}
			if !yield(i, nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

func (f *Filter) validate() error {
	switch {
	case f.Status != "" && !f.Status.known():
		return fmt.Errorf("status %q: %w: there is no such status", f.Status, store.ErrInvalid)
	case f.Correlation != "" && f.Saga == "":
		return fmt.Errorf("by correlation: %w: the saga must be named too", store.ErrInvalid)
	case f.Limit < 0:
		return fmt.Errorf("limit %d: %w: must not be negative", f.Limit, store.ErrInvalid)
	}
	return nil
}

func (f *Filter) matches(i *Instance) bool {
	return (f.Saga == "" || i.Saga == f.Saga) && (f.Status == "" || i.Status == f.Status) &&
		(f.Correlation == "" || i.Correlation == f.Correlation) &&
		(f.StartedBefore.IsZero() || i.StartedAt.Before(f.StartedBefore)) &&
		(f.StartedAfter.IsZero() || i.StartedAt.After(f.StartedAfter))
}

// find yields a few too many, by the narrowest way.
func (c *Control) find(ctx context.Context, f Filter) iter.Seq2[Instance, error] {
	switch {
	case f.Correlation != "":
		return lookUp(ctx, c.log, f, correlationBucket, f.Saga+"/"+url.QueryEscape(f.Correlation)+"/")
	case f.Saga != "" && f.Status != "":
		return lookUp(ctx, c.log, f, statusBucket, f.Saga+"/"+string(f.Status)+"/")
	case f.Saga != "":
		return records(ctx, c.log, f.scan(instanceBucket, f.Saga+"/"))
	}
	return records(ctx, c.log, store.Scan{Bucket: instanceBucket})
}

// scan bounds a scan of keys that go on with the time of the start.
func (f *Filter) scan(bucket, prefix string) store.Scan {
	s := store.Prefix(bucket, prefix)
	if !f.StartedAfter.IsZero() {
		s.From = fmt.Sprintf("%s%016d", prefix, f.StartedAfter.UnixMicro())
	}
	if !f.StartedBefore.IsZero() {
		s.To = fmt.Sprintf("%s%016d", prefix, f.StartedBefore.UnixMicro())
	}
	return s
}

func records(ctx context.Context, log *store.Store, scan store.Scan) iter.Seq2[Instance, error] {
	return func(yield func(Instance, error) bool) {
		for r, err := range log.Scan(ctx, scan) {
			var i Instance
			if err == nil {
				i, err = decodeInstance(&r)
			}
			if !yield(i, err) || err != nil {
				return
			}
		}
	}
}

func decodeInstance(r *store.Record) (Instance, error) {
	var i Instance
	if err := json.Unmarshal(r.Value, &i); err != nil {
		return i, fmt.Errorf("record %s/%s: %w: %w", r.Bucket, r.Key, store.ErrCorrupt, err)
	}
	return i, nil
}

// lookUp yields the instances of index entries. The scan is finished a page at a time before the records are read, since
// a backend may hold a connection for a scan.
func lookUp(ctx context.Context, log *store.Store, f Filter, bucket, prefix string) iter.Seq2[Instance, error] {
	return func(yield func(Instance, error) bool) {
		scan := f.scan(bucket, prefix)
		scan.Limit = agendaPage
		for {
			var keys []string
			for r, err := range log.Scan(ctx, scan) {
				if err != nil {
					yield(Instance{}, err)
					return
				}
				keys = append(keys, r.Key)
			}
			for _, key := range keys {
				r, err := log.Get(ctx, instanceBucket, f.Saga+"/"+strings.TrimPrefix(key, prefix))
				if isNotFound(err) {
					continue // removed meanwhile
				}
				var i Instance
				if err == nil {
					i, err = decodeInstance(&r)
				}
				if !yield(i, err) || err != nil {
					return
				}
			}
			if len(keys) < agendaPage {
				return
			}
			scan.From = keys[len(keys)-1] + "\x00"
		}
	}
}

func scanStatus(ctx context.Context, log *store.Store, saga string, status Status) iter.Seq2[Instance, error] {
	return lookUp(ctx, log, Filter{Saga: saga}, statusBucket, saga+"/"+string(status)+"/")
}

// Get gives one instance, as its stream says. One that never was, or was removed, gives ErrUnknown.
func (c *Control) Get(ctx context.Context, saga, id string) (Detail, error) {
	s, err := c.load(ctx, saga, id)
	if err != nil {
		return Detail{}, named("saga", saga, id, err)
	}
	d := Detail{Data: s.data, Style: s.style}
	sum := s.summarize(s.changedAt, false)
	d.Instance = sum.instance(saga, id, s.changedAt)
	if next := s.wake(); !s.halted() {
		d.Due = next
	}
	for _, t := range s.timers {
		d.Timers = append(d.Timers, Timer{Name: t.name, Due: t.due})
	}
	for _, t := range s.tasks {
		if t.open() && t.kind == taskSignal {
			d.Awaits = append(d.Awaits, t.signal)
		}
	}
	for r, err := range c.log.ReadStream(ctx, store.StreamRead{Stream: s.stream}) {
		if err != nil {
			return Detail{}, named("saga", saga, id, err)
		}
		e, err := decodeEntry(&r)
		if err != nil {
			return Detail{}, named("saga", saga, id, err)
		}
		d.History = append(d.History, e.moment(r.Version, s))
	}
	return d, nil
}

// Detail is one instance with all that is known of it.
type Detail struct {
	Instance
	Style   string          `json:"style"` // steps or manager
	Data    json.RawMessage `json:"data"`
	Timers  []Timer         `json:"timers,omitempty"`
	Awaits  []string        `json:"awaits,omitempty"` // signals
	History []Moment        `json:"history"`
}

// Timer is a timer that is set.
type Timer struct {
	Name string    `json:"name"`
	Due  time.Time `json:"due"`
}

// Moment is one event of a history.
type Moment struct {
	Version event.Version `json:"version"`
	At      time.Time     `json:"at"`
	What    string        `json:"what"`           // the type of the event, without "saga."
	Step    string        `json:"step,omitempty"` // or the name of a command, a timer, a signal, an event
	Task    int           `json:"task,omitempty"` // its number; moments of one task have the same
	Group   string        `json:"group,omitempty"`
	Key     string        `json:"key,omitempty"`     // the idempotency key of a task that begins
	Attempt int           `json:"attempt,omitempty"` // that has ended
	RetryAt time.Time     `json:"retry_at,omitzero"`
	Error   string        `json:"error,omitempty"` // or the reason
	By      string        `json:"by,omitempty"`
}

// moment makes a moment of an event; the state is the one at the end of the history.
func (e *entry) moment(version event.Version, s *state) Moment {
	m := Moment{
		Version: version, At: e.at.UTC(), What: strings.TrimPrefix(e.kind, "saga."), Task: e.Task, Attempt: e.Attempt, RetryAt: e.RetryAt,
		Step: cmp.Or(e.Step, e.Timer, e.Signal), Error: cmp.Or(e.Error, e.Reason), By: cmp.Or(e.By, e.Owner),
	}
	switch {
	case e.Trigger != nil:
		m.Step = e.Trigger.Type
	case e.Status != "":
		m.What = string(e.Status)
	case e.kind == typeAttempted || e.kind == typeRetried:
		for _, number := range e.Tasks {
			if t, err := s.task(number); err == nil {
				m.Step, m.Task = t.step, t.number
			}
		}
	}
	if e.Stage != e.Step {
		m.Group = e.Stage
	}
	for _, t := range s.tasks {
		if t.version == version {
			m.Task, m.Key = t.number, t.key(s.stream).String()
		}
	}
	return m
}
