package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Outcome is what came of a command that was accepted.
type Outcome int

// The outcomes.
const (
	Stored       Outcome = iota + 1 // its events are new
	AlreadyThere                    // its events were in the store before
)

// desk handles the commands. It keeps each package live, as the lines of the log make it; commands to one package must
// come one after the other, those to different packages may come at once.
//
// A line's events have ids that follow from the line, and carry its time, so the desk appends by itself instead of
// leaving it to an aggregate.Repository, which makes ids and takes the store's clock.
type desk struct {
	store    *store.Store
	registry *schema.Registry
	lines    map[string][]event.ID // of the log, by package, in order

	mu      sync.Mutex
	folders map[string]*folder // by package
}

// folder is what the desk knows of one package. The package walks along its stream: events that come from lines at hand
// are decided again, line by line, and those that do not (of older logs that are gone, of newer ones) are taken as they
// are.
type folder struct {
	pkg     *Package
	next    int // of stream: the first event that pkg does not know
	stream  []kept
	index   map[event.ID]int // into stream
	version event.Version    // of the last event of stream
	last    int              // ordinal of the last line at hand that is stored; -1: none
}

// kept is an event that is stored.
type kept struct {
	id    event.ID
	at    time.Time
	event any
}

func newDesk(s *store.Store, r *schema.Registry, l *Log) *desk {
	d := &desk{store: s, registry: r, lines: map[string][]event.ID{}, folders: map[string]*folder{}}
	for _, o := range l.Entries {
		line := o.at()
		d.lines[line.Package] = append(d.lines[line.Package], line.ID)
	}
	return d
}

// register makes the desk the handler of all commands.
func (d *desk) register(bus *command.Bus) error {
	return errors.Join(
		handle[*Install](bus, d), handle[*Upgrade](bus, d), handle[*Remove](bus, d), handle[*Purge](bus, d),
		handle[*Disappear](bus, d), handle[*Configure](bus, d), handle[*ProcessTriggers](bus, d), handle[*NoteState](bus, d),
	)
}

func handle[C order](bus *command.Bus, d *desk) error {
	return command.Handle(bus, func(ctx context.Context, c C) (Outcome, error) {
		return d.accept(ctx, c.at(), c.decide)
	})
}

// accept lets the package decide, and stores what follows from it. A line that is stored already is decided again, so
// that the package goes on from it, and not stored again. It gives *Refusal where the package does not accept.
func (d *desk) accept(ctx context.Context, l *Line, decide func(*Package) ([]any, error)) (Outcome, error) {
	f, err := d.folder(ctx, l.Package)
	if err != nil {
		return 0, err
	}
	for {
		if place, known := f.index[l.ID]; known {
			return AlreadyThere, f.again(l, place, decide)
		}
		if l.Ordinal > f.last && !f.passed(l.At) {
			if err := f.walk(len(f.stream)); err != nil {
				return 0, err
			}
		}
		events, err := decide(f.pkg)
		if err == nil && f.next < len(f.stream) {
			err = &Refusal{Reason: "comes before what is stored of this package: import older logs first"}
		}
		if err != nil {
			return 0, err
		}
		res, err := d.append(ctx, f, l, events)
		switch {
		case errors.Is(err, store.ErrConflict) || res.Duplicate: // another process is importing too
			if err := d.read(ctx, f, l.Package); err != nil {
				return 0, err
			}
			continue
		case err != nil:
			return 0, err
		}
		f.version = res.Version()
		for _, e := range events { // the ids of those before the last are not asked for any more
			f.add(kept{id: l.ID, at: l.At, event: e})
		}
		return Stored, f.walk(len(f.stream))
	}
}

// again goes over a line that is stored, its last event being at a place of the stream.
func (f *folder) again(l *Line, place int, decide func(*Package) ([]any, error)) error {
	start := place
	if place > 0 && f.stream[place-1].id == observedID(l.ID) {
		start--
	}
	if start < f.next {
		return nil // stored in another order than that of the log at hand
	}
	if err := f.walk(start); err != nil {
		return err
	}
	f.next = place + 1
	events, err := decide(f.pkg)
	if err != nil {
		// It was accepted once, so the rules have changed since. The package stays behind, and the proof will show it.
		return nil //nolint:nilerr // a refusal; see above
	}
	return aggregate.Replay(f.pkg, events...)
}

// walk takes the events before a place of the stream as they are.
func (f *folder) walk(place int) error {
	for ; f.next < place; f.next++ {
		if err := aggregate.Replay(f.pkg, f.stream[f.next].event); err != nil {
			return err
		}
	}
	return nil
}

// passed reports whether the stream goes on, where the package has not come yet, after a time.
func (f *folder) passed(t time.Time) bool {
	return slices.ContainsFunc(f.stream[f.next:], func(k kept) bool { return k.at.After(t) })
}

func (f *folder) add(k kept) {
	f.index[k.id] = len(f.stream)
	f.stream = append(f.stream, k)
}

// observedID is the id of the event that says how a package was found, before that of the line itself.
func observedID(line event.ID) event.ID { return event.DerivedID(line, "observed") }

func (d *desk) append(ctx context.Context, f *folder, l *Line, events []any) (store.Result, error) {
	metadata := event.MetadataFrom(ctx)
	pending := make([]event.Pending, len(events))
	for i, e := range events {
		p, err := d.registry.Encode(e)
		if err != nil {
			return store.Result{}, fmt.Errorf("%s: %w", l.Source, err)
		}
		p.ID, p.OccurredAt, p.Metadata = l.ID, l.At, metadata
		if i < len(events)-1 {
			p.ID = observedID(l.ID)
		}
		pending[i] = p
	}
	return d.store.Append(ctx, event.StreamID(category+"-"+l.Package), store.Exactly(f.version), pending...)
}

// folder gives the folder of a package, opened when it is first asked for.
func (d *desk) folder(ctx context.Context, name string) (*folder, error) {
	d.mu.Lock()
	f := d.folders[name]
	d.mu.Unlock()
	if f != nil {
		return f, nil
	}
	f = &folder{pkg: &Package{}, index: map[event.ID]int{}, last: -1}
	if err := d.read(ctx, f, name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.folders[name] = f
	d.mu.Unlock()
	return f, nil
}

// read brings a folder up to date with what its stream holds now.
func (d *desk) read(ctx context.Context, f *folder, name string) error {
	id := event.StreamID(category + "-" + name)
	for stored, err := range d.store.ReadStream(ctx, store.StreamRead{Stream: id, From: f.version + 1}) {
		if err != nil {
			return err
		}
		e, err := d.registry.Decode(&stored)
		if err != nil {
			return err
		}
		f.version = stored.Version
		f.add(kept{id: stored.ID, at: stored.OccurredAt, event: e})
	}
	for i, id := range d.lines[name] {
		if _, known := f.index[id]; known {
			f.last = i
		}
	}
	return nil
}

// statuses gives the state of each package as the lines made it. It must not be called while commands are handled.
func (d *desk) statuses() (map[string]Status, error) {
	all := make(map[string]Status, len(d.folders))
	for name, f := range d.folders {
		if err := f.walk(len(f.stream)); err != nil {
			return nil, fmt.Errorf("package %s: %w", name, err)
		}
		if f.pkg.State != Unknown {
			all[name] = f.pkg.Status()
		}
	}
	return all, nil
}
