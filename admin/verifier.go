package admin

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// verifier is one verification on its way.
type verifier struct {
	store   *store.Store
	options Verify
	outcome Verified
	streams map[event.StreamID]*streamState
	removed removals
	ids     []idAt
	gaps    []gap
	missing int64 // positions that are in no event
	read    int64 // events read in all passes
}

type streamState struct {
	first, last event.Version
	listed      bool
}

type idAt struct {
	id       event.ID
	position event.Position
}

// gap is a run of missing positions.
type gap struct{ from, to event.Position }

func (v *verifier) run(ctx context.Context) error {
	parts := (int(v.outcome.Head) + v.options.MaxIDs - 1) / v.options.MaxIDs
	for part := range parts {
		if err := v.pass(ctx, part, parts); err != nil {
			return err
		}
		v.checkIDs()
	}
	v.checkPositions()
	v.checkBeginnings()
	v.outcome.Streams = len(v.streams)
	v.outcome.Removed = v.removed.total
	if err := v.checkList(ctx); err != nil {
		return err
	}
	return v.order(ctx)
}

// order sorts the faults by place, and names the stream of those that were found by position alone.
func (v *verifier) order(ctx context.Context) error {
	for i := range v.outcome.Faults {
		f := &v.outcome.Faults[i]
		if f.Stream != "" || f.Position == 0 {
			continue
		}
		at, err := first(v.store.ReadLog(ctx, store.LogRead{From: f.Position, To: f.Position, Limit: 1}))
		if err != nil {
			return err
		}
		if at != nil {
			f.Stream, f.Version = at.Stream, at.Version
		}
	}
	slices.SortStableFunc(v.outcome.Faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Version, b.Version))
	})
	return nil
}

// pass reads the log and gathers the ids of one part; the first pass checks all the rest.
func (v *verifier) pass(ctx context.Context, part, parts int) error {
	v.ids = v.ids[:0]
	previous := event.Position(0)
	for e, err := range v.store.ReadLog(ctx, store.LogRead{To: v.outcome.Head}) {
		if err != nil {
			return err
		}
		if part == 0 {
			v.place(&e, previous)
			v.version(&e)
			v.content(&e)
			v.outcome.Events++
		}
		previous = e.Position
		if binary.BigEndian.Uint64(e.ID[8:])%uint64(parts) == uint64(part) {
			v.ids = append(v.ids, idAt{id: e.ID, position: e.Position})
		}
		if v.read++; v.options.Progress != nil && v.read%1000 == 0 {
			v.options.Progress(v.read, int64(v.outcome.Head)*int64(parts))
		}
	}
	if part == 0 && previous < v.outcome.Head {
		v.missed(previous+1, v.outcome.Head)
	}
	return nil
}

// place checks the order of positions, and notes gaps, which removals may explain.
func (v *verifier) place(e *event.Recorded, previous event.Position) {
	if e.Position <= previous {
		v.fault(Fault{
			Stream: e.Stream, Version: e.Version, Position: e.Position,
			Problem: fmt.Sprintf("came after position %d", previous),
		})
	} else if e.Position > previous+1 {
		v.missed(previous+1, e.Position-1)
	}
}

func (v *verifier) missed(from, to event.Position) {
	v.missing += int64(to - from + 1)
	if len(v.gaps) < v.options.MaxFaults {
		v.gaps = append(v.gaps, gap{from, to})
	}
}

// version checks that a stream goes on where it was.
func (v *verifier) version(e *event.Recorded) {
	s := v.streams[e.Stream]
	if s == nil {
		v.streams[e.Stream] = &streamState{first: e.Version, last: e.Version}
		return
	}
	if e.Version != s.last+1 {
		v.fault(Fault{
			Stream: e.Stream, Version: e.Version, Position: e.Position,
			Problem: fmt.Sprintf("follows version %d", s.last),
		})
	}
	s.last = e.Version
}

// checkIDs finds ids that stand twice among those gathered.
func (v *verifier) checkIDs() {
	slices.SortFunc(v.ids, func(a, b idAt) int {
		return cmp.Or(slices.Compare(a.id[:], b.id[:]), cmp.Compare(a.position, b.position))
	})
	for i := 1; i < len(v.ids); i++ {
		if v.ids[i].id == v.ids[i-1].id {
			v.fault(Fault{
				Position: v.ids[i].position,
				Problem:  fmt.Sprintf("has the same event id %s as position %d", v.ids[i].id, v.ids[i-1].position),
			})
		}
	}
}

// checkPositions holds the gaps against the removals that are accounted.
func (v *verifier) checkPositions() {
	if v.missing == v.removed.total {
		return
	}
	v.fault(Fault{Problem: fmt.Sprintf("%d positions are missing, but %d removed events are accounted for",
		v.missing, v.removed.total)})
	for _, g := range v.gaps {
		v.fault(Fault{Position: g.from, Problem: fmt.Sprintf("positions %d to %d are missing", g.from, g.to)})
	}
}

// checkBeginnings holds the first version of each stream against its removals.
func (v *verifier) checkBeginnings() {
	for stream, s := range v.streams {
		if removed := v.removed.byStream[stream]; int64(s.first)-1 != removed {
			v.fault(Fault{
				Stream: stream, Version: s.first,
				Problem: fmt.Sprintf("the stream begins here, but %d removed events are accounted for", removed),
			})
		}
	}
	for stream, removed := range v.removed.byStream {
		if v.streams[stream] == nil && removed > 0 {
			v.fault(Fault{Stream: stream, Problem: fmt.Sprintf("no event is left, though only %d were removed", removed)})
		}
	}
}

// checkList holds the store's list of streams against what the log has shown.
func (v *verifier) checkList(ctx context.Context) error {
	for info, err := range v.store.Streams(ctx, store.StreamsRead{}) {
		if err != nil {
			return err
		}
		s := v.streams[info.Stream]
		if s == nil {
			if info.Position <= v.outcome.Head {
				v.fault(Fault{Stream: info.Stream, Version: info.Version, Problem: "is listed, but has no events in the log"})
			}
			continue
		}
		s.listed = true
		if info.Position <= v.outcome.Head && info.Version != s.last {
			v.fault(Fault{
				Stream: info.Stream, Version: info.Version,
				Problem: fmt.Sprintf("is listed at this version, but ends at version %d in the log", s.last),
			})
		}
	}
	for stream, s := range v.streams {
		if !s.listed {
			v.fault(Fault{Stream: stream, Version: s.last, Problem: "is in the log, but not listed"})
		}
	}
	return nil
}

func (v *verifier) fault(f Fault) {
	if len(v.outcome.Faults) < v.options.MaxFaults {
		v.outcome.Faults = append(v.outcome.Faults, f)
	} else {
		v.outcome.More++
	}
}
