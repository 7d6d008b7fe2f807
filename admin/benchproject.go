package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/schema"
)

// ProjectFigures is what BenchProject has measured: medians over its rounds. Without a baseline its figures are 0.
type ProjectFigures struct {
	EventsPerSecond    float64 `json:"events_per_s"` // projected into documents, decoded
	RawEventsPerSecond float64 `json:"raw_read_events_per_s,omitempty"`
	Ratio              float64 `json:"ratio,omitempty"`
	Events             int64   `json:"events"`
	Documents          int64   `json:"documents"` // one for each stream
}

// benchOrder is what benchPayload encodes.
type benchOrder struct {
	Order       int    `json:"order"`
	Customer    string `json:"customer"`
	AmountCents int64  `json:"amount_cents"`
	Note        string `json:"note"`
}

// benchTotal is the document of a stream.
type benchTotal struct {
	Customer    string `json:"customer"`
	Events      int64  `json:"events"`
	AmountCents int64  `json:"amount_cents"`
}

// BenchProject measures how fast a projection catches up that decodes each event and keeps one document for each stream,
// in turns with a raw ordered read by the bare driver.
func (a *Admin) BenchProject(ctx context.Context, baseline Baseline, o BenchRead) (ProjectFigures, error) {
	if err := a.ready(ctx, &o); err != nil {
		return ProjectFigures{}, fmt.Errorf("bench project: %w", err)
	}
	head, err := a.store.Head(ctx)
	if err != nil {
		return ProjectFigures{}, fmt.Errorf("bench project: %w", err)
	}
	figures := ProjectFigures{Events: int64(head)}
	run, round := runName(), 0
	c, err := compareReads(ctx, baseline, o.Rounds, func() (rate float64, err error) {
		round++
		rate, figures.Documents, err = a.project(ctx, fmt.Sprintf("bench-%s-%d", run, round), head)
		return rate, err
	})
	if err != nil {
		return ProjectFigures{}, fmt.Errorf("bench project: %w", err)
	}
	figures.EventsPerSecond, figures.RawEventsPerSecond, figures.Ratio = c.ours, c.raw, c.ratio
	return figures, nil
}

// project runs one projection from the start to the head, and removes it.
func (a *Admin) project(ctx context.Context, name string, head event.Position) (rate float64, documents int64, err error) {
	registry := schema.NewRegistry()
	if err := schema.Register[benchOrder](registry, benchType, schema.Options{}); err != nil {
		return 0, 0, err
	}
	p := projection.New(a.store, registry, name, projection.Options{PollInterval: 10 * time.Millisecond})
	totals := projection.NewDocuments[benchTotal](p, "totals", projection.DocumentOptions[benchTotal]{})
	projection.Keyed(totals, func(_ benchOrder, r event.Recorded) string { return string(r.Stream) },
		func(t *benchTotal, e benchOrder, _ event.Recorded) error {
			t.Customer, t.Events, t.AmountCents = e.Customer, t.Events+1, t.AmountCents+e.AmountCents
			return nil
		})
	set, err := projection.NewSet(p)
	if err != nil {
		return 0, 0, err
	}
	inner, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- set.Run(inner) }()
	err = p.WaitFor(ctx, head)
	took := time.Since(start)
	stop()
	err = errors.Join(err, <-ended)
	var events int64
	if err == nil {
		for d, err := range totals.List(ctx, projection.Page{}) {
			if err != nil {
				return 0, 0, err
			}
			documents++
			events += d.Value.Events
		}
		if events != int64(head) {
			err = fmt.Errorf("the documents count %d events, the log holds %d", events, head)
		}
	}
	err = errors.Join(err, projection.NewControl(a.store).Delete(context.WithoutCancel(ctx), name))
	return float64(head) / took.Seconds(), documents, err
}
