package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Transform makes the events of another log, or of other streams, out of those of a log: renamed, changed, split, dropped,
// moved, or several merged into one. It must be deterministic: what it gives depends on nothing but the events that it was
// given, in their order, since a copy that goes on after a crash, and the verification, let it run again. It is used by
// one goroutine.
type Transform struct {
	// Event gives what comes in the place of an event: nothing, one or several. A transform that merges remembers the
	// events and gives the merged one with the last of them. Tombstones do not come here. Required.
	Event func(e event.Recorded) ([]Output, error)

	// Deleted gives the streams that end where a stream of the source was deleted. Set it where Event moves events to
	// other streams, or what was deleted lives on in the copy. Defaults to the same stream in another store, and to none
	// in the same store.
	Deleted func(stream event.StreamID) []event.StreamID

	// End gives what is left at the end of the source, for a transform that holds events back. After it the copy has
	// ended: when the source grows, it cannot go on. Defaults to nothing.
	End func() ([]Output, error)
}

// Output is an event that a transform gives. Without an id it gets one that is derived from the source event's; the first
// one into another store keeps that. Without a time it occurred when the source event did.
type Output struct {
	Stream event.StreamID
	Event  event.Pending
}

// Same gives an event as it is, for transforms that leave it alone or change a little of it.
func Same(e event.Recorded) (Output, error) {
	p, err := e.Pending()
	p.ID = event.ID{}
	return Output{Stream: e.Stream, Event: p}, err
}

// ErrEnded says that a copy has ended with what its transform held back (Transform.End), and cannot take what came since.
var ErrEnded = errcode.New(errcode.CopyEnded, "the copy has ended, and the source has grown since")

// TransformOptions are the settings of CopyTransformed, PlanTransformed and CompareTransformed; the zero value works for
// a copy into another store.
type TransformOptions struct {
	// Name identifies the copy, so that another call goes on with it. It stands in the ids of the events too. Letters,
	// digits, "_" and "-". Defaults to "transform".
	Name string

	// Filter selects the events of the source. A copy within one store needs its Categories. Defaults to all.
	Filter store.Filter

	// Into are the categories that a copy within one store writes to, which needs them: others than those of Filter.
	// Defaults to none: the copy goes into another store.
	Into []string

	// Stateless says that each event is transformed without regard to those before it, so that a copy that goes on need
	// not read the source from its beginning. Defaults to false.
	Stateless bool

	// BatchEvents is how many events of the source are read at once, and at the most written at once. Defaults to 1,000.
	BatchEvents int

	// Patience is as in Options.
	Patience time.Duration

	// Schedule says when, and how fast, the copy works. Defaults to at once, and as fast as it can.
	Schedule Schedule

	// MaxExamples is how many examples of each kind of change a plan shows, and how many differences a comparison
	// describes. Defaults to 3 and 20.
	MaxExamples int

	// UpTo is the last position of the source that CompareTransformed looks at. Defaults to its head.
	UpTo event.Position

	// Progress is called after each batch. It must not block for long. Defaults to none.
	Progress func(Progress)
}

// controlCategory is the category of the streams in which copies within one store keep how far they are.
const controlCategory = "migration"

func (o TransformOptions) withDefaults() TransformOptions {
	o.Name = cmp.Or(o.Name, "transform")
	o.BatchEvents = cmp.Or(o.BatchEvents, 1000)
	o.Patience = cmp.Or(o.Patience, time.Minute)
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o
}

func (o *TransformOptions) validate(from, to *store.Store, fresh func() Transform) error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: "+format, append([]any{store.ErrInvalid}, args...)...))
		}
	}
	for _, c := range []byte(o.Name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			check(false, "name %q: must be of letters, digits, - and _", o.Name)
			break
		}
	}
	check(o.BatchEvents > 0, "BatchEvents %d: must be at least 1", o.BatchEvents)
	check(o.MaxExamples >= 0, "MaxExamples %d: must not be negative", o.MaxExamples)
	check(fresh != nil && fresh().Event != nil, "a transform with a function for events is needed")
	faults = append(faults, o.Filter.Validate(), o.Schedule.validate())
	if !sameStore(from, to) {
		check(len(o.Into) == 0, "Into: it is for copies within one store")
		if _, ok := to.Backend().(store.Importer); !ok {
			faults = append(faults, fmt.Errorf("the target: import events: %w", store.ErrUnsupported))
		}
		return errors.Join(faults...)
	}
	check(len(o.Filter.Categories) > 0 && len(o.Into) > 0, "source and target are the same store: say which categories to read (Filter), and to which others to write (Into)")
	for _, category := range o.Into {
		check(category != controlCategory && !slices.Contains(o.Filter.Categories, category), "category %q is both read and written", category)
	}
	check(!slices.Contains(o.Filter.Categories, controlCategory), "category %q belongs to the copies themselves", controlCategory)
	return errors.Join(faults...)
}

func sameStore(from, to *store.Store) bool { return from == to || from.Backend() == to.Backend() }
