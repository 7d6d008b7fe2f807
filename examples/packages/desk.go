package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

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

// folder is what the desk knows of one package.
type folder struct {
	pkg     *Package          // after the line that came last
	version event.Version     // of the stream
	stored  map[event.ID]bool // all events of the stream
	last    int               // ordinal of the last line that is stored; -1: none
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
		events, err := decide(f.pkg)
		switch {
		case f.stored[l.ID] && err != nil:
			// It was accepted once, so the rules have changed since. The package stays behind; the proof will show it.
			return AlreadyThere, nil
		case f.stored[l.ID]:
			return AlreadyThere, aggregate.Replay(f.pkg, events...)
		case err != nil:
			return 0, err
		case l.Ordinal < f.last:
			return 0, &Refusal{Reason: "comes before what is stored of this package: import older logs first"}
		}
		res, err := d.append(ctx, f, l, events)
		switch {
		case errors.Is(err, store.ErrConflict): // another process is importing
			if err := d.renew(ctx, f, l); err != nil {
				return 0, err
			}
			continue
		case err != nil:
			return 0, err
		}
		f.version = res.Version()
		if err := aggregate.Replay(f.pkg, events...); err != nil {
			return 0, err
		}
		if res.Duplicate {
			return AlreadyThere, nil
		}
		return Stored, nil
	}
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
	f, err := d.open(ctx, name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.folders[name] = f
	d.mu.Unlock()
	return f, nil
}

// open reads the stream of a package. The package begins as it was before the first event that comes from the log at
// hand: mostly at nothing, but later where older parts of the log were imported once and are gone.
func (d *desk) open(ctx context.Context, name string) (*folder, error) {
	f := &folder{pkg: &Package{}, stored: map[event.ID]bool{}, last: -1}
	mine := make(map[event.ID]bool, 2*len(d.lines[name]))
	for _, id := range d.lines[name] {
		mine[id], mine[observedID(id)] = true, true
	}
	reached := false
	for stored, err := range d.read(ctx, name) {
		if err != nil {
			return nil, err
		}
		f.version = stored.Version
		f.stored[stored.ID] = true
		if reached = reached || mine[stored.ID]; reached {
			continue
		}
		if err := d.replay(f.pkg, &stored); err != nil {
			return nil, err
		}
	}
	for i, id := range d.lines[name] {
		if f.stored[id] {
			f.last = i
		}
	}
	return f, nil
}

// renew brings a folder up to date after another process appended to its stream. If that was the line at hand, the
// package goes on as the log says; else it is what the stream says.
func (d *desk) renew(ctx context.Context, f *folder, l *Line) error {
	now := &Package{}
	for stored, err := range d.read(ctx, l.Package) {
		if err != nil {
			return err
		}
		f.version = stored.Version
		f.stored[stored.ID] = true
		if err := d.replay(now, &stored); err != nil {
			return err
		}
	}
	if !f.stored[l.ID] {
		f.pkg = now
	}
	return nil
}

func (d *desk) replay(p *Package, stored *event.Recorded) error {
	e, err := d.registry.Decode(stored)
	if err != nil {
		return err
	}
	return aggregate.Replay(p, e)
}

func (d *desk) read(ctx context.Context, name string) func(func(event.Recorded, error) bool) {
	return d.store.ReadStream(ctx, store.StreamRead{Stream: event.StreamID(category + "-" + name)})
}

// kept gives the state of each package as the lines made it. It must not be called while commands are handled.
func (d *desk) kept() map[string]Status {
	all := make(map[string]Status, len(d.folders))
	for name, f := range d.folders {
		if f.pkg.State != Unknown {
			all[name] = f.pkg.Status()
		}
	}
	return all
}
