package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// importer sends the lines of a log to the desk: those of one package in order, packages side by side, so that the
// store can commit many appends at once.
type importer struct {
	bus   *command.Bus
	desk  *desk
	lanes [][]order // by worker
}

// Summary counts what became of the lines.
type Summary struct {
	Commands     int           `json:"commands"`
	New          int           `json:"new_lines"`
	AlreadyThere int           `json:"already_there"`
	Refused      []Refused     `json:"refused"`
	Took         time.Duration `json:"took_ns"`
}

// Refused is a line that its package did not accept.
type Refused struct {
	Source  string    `json:"source"`
	Package string    `json:"package"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	Text    string    `json:"text"`
	place   int
}

func newImporter(s *store.Store, r *schema.Registry, l *Log, workers int) (*importer, error) {
	in := &importer{bus: command.NewBus(command.Options{}), desk: newDesk(s, r, l), lanes: make([][]order, workers)}
	if err := in.desk.register(in.bus); err != nil {
		return nil, err
	}
	for _, o := range l.Entries {
		h := fnv.New32a()
		_, _ = h.Write([]byte(o.at().Package)) // a hash takes everything
		lane := h.Sum32() % uint32(workers)
		in.lanes[lane] = append(in.lanes[lane], o)
	}
	return in, nil
}

// run dispatches all lines, and calls step after each, from many goroutines. The first failure stops it; the summary
// counts what was done until then.
func (in *importer) run(ctx context.Context, step func()) (Summary, error) {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := make([]Summary, len(in.lanes))
	var wg sync.WaitGroup
	for i, lane := range in.lanes {
		wg.Go(func() {
			if err := in.work(ctx, lane, &parts[i], step); err != nil {
				cancel(err) // the first cause stays
			}
		})
	}
	wg.Wait()
	sum := Summary{Refused: []Refused{}}
	for _, p := range parts {
		sum.Commands += p.Commands
		sum.New += p.New
		sum.AlreadyThere += p.AlreadyThere
		sum.Refused = append(sum.Refused, p.Refused...)
	}
	slices.SortFunc(sum.Refused, func(a, b Refused) int { return a.place - b.place })
	sum.Took = time.Since(start)
	return sum, context.Cause(ctx)
}

func (in *importer) work(ctx context.Context, lane []order, sum *Summary, step func()) error {
	for _, o := range lane {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l := o.at()
		outcome, err := in.bus.Dispatch(dpkgRun(ctx, l), o)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal):
			sum.Refused = append(sum.Refused, Refused{l.Source, l.Package, l.At, refusal.Reason, l.Text, l.Place})
		case err != nil:
			return fmt.Errorf("%s: %w", l.Source, err)
		case outcome == Stored:
			sum.New++
		default:
			sum.AlreadyThere++
		}
		sum.Commands++
		step()
	}
	return nil
}

// dpkgRun says in the events' metadata who did it, in which run, and where it is written.
func dpkgRun(ctx context.Context, l *Line) context.Context {
	m := event.Metadata{Actor: "dpkg", Custom: map[string]string{"line": l.Source}}
	if !l.Run.IsZero() {
		m.CorrelationID = l.Run.String()
	}
	return event.WithMetadata(ctx, m)
}
