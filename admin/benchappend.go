package admin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"lexigram.dev/events/event"
)

// BenchAppend says how to measure appending.
type BenchAppend struct {
	Writers         int           // appending at the same time; default 64
	EventsPerAppend int           // default 1
	PayloadBytes    int           // of the JSON data of each event; default 256
	Duration        time.Duration // of appending to the store, all rounds together; each baseline takes as long again; default 5 s
	Rounds          int           // in which store and baselines take turns; default 5
	Force           bool          // measure on a store that holds other events too; default false
	Progress        func(done, of int)
}

// AppendFigures is what BenchAppend has measured: medians over its rounds. Ratios are the medians of the rounds' own
// ratios, since a machine's speed drifts from round to round. Without a baseline its figures are 0.
type AppendFigures struct {
	EventsPerSecond          float64 `json:"events_per_s"`
	AppendsPerSecond         float64 `json:"appends_per_s"`
	P50                      float64 `json:"p50_ms"`
	P99                      float64 `json:"p99_ms"`
	RawInsertEventsPerSecond float64 `json:"raw_insert_events_per_s,omitempty"`
	RawBulkEventsPerSecond   float64 `json:"raw_bulk_events_per_s,omitempty"`
	RatioToInsert            float64 `json:"ratio_to_insert,omitempty"`
	RatioToBulk              float64 `json:"ratio_to_bulk,omitempty"`

	RawPool int `json:"-"` // the number of connections that was best for the raw inserts
}

const (
	bulkRows = 5000
	poolTry  = 250 * time.Millisecond
	warmUp   = 250 * time.Millisecond
)

// Validate says what is wrong with the settings.
func (o BenchAppend) Validate() error {
	if o.Writers < 0 || o.EventsPerAppend < 0 || o.PayloadBytes < 0 || o.Rounds < 0 || o.Duration < 0 {
		return errors.New("bench append: writers, events per append, payload, rounds and duration must not be negative")
	}
	return nil
}

func (o *BenchAppend) withDefaults() {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.Writers, 64)
	set(&o.EventsPerAppend, 1)
	set(&o.PayloadBytes, 256)
	set(&o.Rounds, 5)
	if o.Duration == 0 {
		o.Duration = 5 * time.Second
	}
}

// BenchAppend measures appends with exact expected versions to 4,000 streams of the category "bench", and in turns with
// it what the bare driver does with the same rows: in one INSERT per transaction by as many writers, and in bulk.
// A nil baseline is left out. It refuses a store that holds other events, unless forced.
func (a *Admin) BenchAppend(ctx context.Context, baseline Baseline, o BenchAppend) (AppendFigures, error) {
	if err := o.Validate(); err != nil {
		return AppendFigures{}, err
	}
	o.withDefaults()
	if !o.Force {
		if err := a.checkScratch(ctx); err != nil {
			return AppendFigures{}, err
		}
	}
	run := runName()
	b := appendBench{
		admin: a, baseline: baseline, options: o,
		ours:   newWorkload(run, o.Writers, o.EventsPerAppend, o.PayloadBytes),
		insert: newWorkload(run, o.Writers, o.EventsPerAppend, o.PayloadBytes),
		bulk:   newWorkload(run+"-bulk", 1, bulkRows, o.PayloadBytes),
	}
	b.bulk.position.Store(1 << 40) // bulk rows go to the same table as inserted ones
	if err := b.measure(ctx); err != nil {
		return AppendFigures{}, fmt.Errorf("bench append: %w", err)
	}
	return b.figures(), nil
}

// appendBench is one measurement on its way. The slices hold a figure per round.
type appendBench struct {
	admin        *Admin
	baseline     Baseline
	options      BenchAppend
	ours         *workload
	insert, bulk *workload
	pool         int

	appends, raw, rawBulk []float64 // events per second
	toInsert, toBulk      []float64
	took                  []time.Duration
}

func (b *appendBench) measure(ctx context.Context) error {
	if b.baseline != nil {
		if err := b.choosePool(ctx); err != nil {
			return err
		}
	}
	if _, _, err := b.store(ctx, warmUp); err != nil {
		return err
	}
	for round := range b.options.Rounds {
		if b.options.Progress != nil {
			b.options.Progress(round, b.options.Rounds)
		}
		if err := b.round(ctx, b.options.Duration/time.Duration(b.options.Rounds)); err != nil {
			return err
		}
	}
	if b.options.Progress != nil {
		b.options.Progress(b.options.Rounds, b.options.Rounds)
	}
	return nil
}

func (b *appendBench) round(ctx context.Context, d time.Duration) error {
	ours, took, err := b.store(ctx, d)
	if err != nil {
		return err
	}
	b.appends, b.took = append(b.appends, ours), append(b.took, took...)
	if b.baseline == nil {
		return nil
	}
	raw, err := b.rawInsert(ctx, d)
	if err != nil {
		return err
	}
	bulk, err := b.rawInBulk(ctx, d)
	if err != nil {
		return err
	}
	b.raw, b.toInsert = append(b.raw, raw), append(b.toInsert, ours/raw)
	b.rawBulk, b.toBulk = append(b.rawBulk, bulk), append(b.toBulk, ours/bulk)
	return nil
}

// store gives the store's events per second. A collection before each measurement keeps one from paying for another.
func (b *appendBench) store(ctx context.Context, d time.Duration) (float64, []time.Duration, error) {
	runtime.GC()
	perSecond, took, err := drive(ctx, b.options.Writers, d, func(ctx context.Context, writer int) error {
		return b.ours.append(ctx, b.admin.store, writer)
	})
	return perSecond * float64(b.options.EventsPerAppend), took, err
}

func (b *appendBench) rawInsert(ctx context.Context, d time.Duration) (float64, error) {
	runtime.GC()
	perSecond, _, err := drive(ctx, b.options.Writers, d, func(ctx context.Context, writer int) error {
		return b.baseline.Insert(ctx, b.insert.rows(writer, b.options.EventsPerAppend))
	})
	if err != nil {
		return 0, fmt.Errorf("raw insert: %w", err)
	}
	return perSecond * float64(b.options.EventsPerAppend), nil
}

// rawInBulk counts the time in the driver alone; making the rows is not held against it.
func (b *appendBench) rawInBulk(ctx context.Context, d time.Duration) (float64, error) {
	runtime.GC()
	var (
		spent time.Duration
		rows  int
	)
	for spent < d {
		batch := make([]event.Recorded, 0, bulkRows)
		for len(batch) < bulkRows {
			batch = append(batch, b.bulk.rows(0, 10)...)
		}
		start := time.Now()
		if err := b.baseline.Bulk(ctx, batch); err != nil {
			return 0, fmt.Errorf("raw bulk: %w", err)
		}
		spent += time.Since(start)
		rows += len(batch)
	}
	return float64(rows) / spent.Seconds(), nil
}

// choosePool tries numbers of connections and keeps the one that is best for the raw inserts.
func (b *appendBench) choosePool(ctx context.Context) error {
	best := 0.0
	for n := 1; n <= b.options.Writers && n <= 64; n *= 2 {
		if err := b.baseline.SetPool(ctx, n); err != nil {
			if b.pool == 0 || ctx.Err() != nil {
				return err
			}
			break // the server has no more connections to give
		}
		rate, err := b.rawInsert(ctx, poolTry)
		if err != nil {
			return err
		}
		if rate > best {
			best, b.pool = rate, n
		}
	}
	return b.baseline.SetPool(ctx, b.pool)
}

func (b *appendBench) figures() AppendFigures {
	events := median(b.appends)
	return AppendFigures{
		EventsPerSecond:          events,
		AppendsPerSecond:         events / float64(b.options.EventsPerAppend),
		P50:                      quantile(b.took, 0.50),
		P99:                      quantile(b.took, 0.99),
		RawInsertEventsPerSecond: median(b.raw),
		RawBulkEventsPerSecond:   median(b.rawBulk),
		RatioToInsert:            median(b.toInsert),
		RatioToBulk:              median(b.toBulk),
		RawPool:                  b.pool,
	}
}
