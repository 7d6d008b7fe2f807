package admin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"lexigram.dev/events/store"
)

// BenchRead says how to measure replaying.
type BenchRead struct {
	Events       int64 // at least so many are in the log; those that lack are appended first; default 1,000,000
	PayloadBytes int   // of each event that is appended; default 256
	Rounds       int   // in which store and baseline take turns; default 3
	Force        bool  // measure on a store that holds other events too; default false
	Progress     func(done, of int64)
}

// ReadFigures is what BenchRead has measured: medians over its rounds. Without a baseline its figures are 0.
type ReadFigures struct {
	EventsPerSecond    float64 `json:"events_per_s"`
	RawEventsPerSecond float64 `json:"raw_read_events_per_s,omitempty"`
	Ratio              float64 `json:"ratio,omitempty"`
	PeakHeapMB         float64 `json:"peak_heap_mb"` // how much the heap grew above what it was before the replay

	Events int64 `json:"events"` // that each replay has read
}

// fillWriters and fillEvents shape the appends that fill the store before a replay.
const (
	fillWriters = 8
	fillEvents  = 200
)

// BenchRead measures a replay of the whole log, decoding nothing, in turns with a raw ordered read of the same table by
// the bare driver, and how much memory the replay takes.
func (a *Admin) BenchRead(ctx context.Context, baseline Baseline, o BenchRead) (ReadFigures, error) {
	if err := a.ready(ctx, &o); err != nil {
		return ReadFigures{}, fmt.Errorf("bench read: %w", err)
	}
	figures, err := a.replays(ctx, baseline, o.Rounds)
	if err != nil {
		return ReadFigures{}, fmt.Errorf("bench read: %w", err)
	}
	return figures, nil
}

// ready fills in the defaults and sees to it that the log is what is to be read.
func (a *Admin) ready(ctx context.Context, o *BenchRead) error {
	if o.Events == 0 {
		o.Events = 1_000_000
	}
	if o.PayloadBytes == 0 {
		o.PayloadBytes = 256
	}
	if o.Rounds == 0 {
		o.Rounds = 3
	}
	if o.Events < 0 || o.PayloadBytes < 0 || o.Rounds < 0 {
		return errors.New("events, payload and rounds must not be negative")
	}
	if !o.Force {
		if err := a.checkScratch(ctx); err != nil {
			return err
		}
	}
	if err := a.fill(ctx, *o); err != nil {
		return fmt.Errorf("fill the store: %w", err)
	}
	return nil
}

// fill appends what the log lacks.
func (a *Admin) fill(ctx context.Context, o BenchRead) error {
	head, err := a.store.Head(ctx)
	if err != nil {
		return err
	}
	var (
		left = o.Events - int64(head)
		done atomic.Int64
		w    = newWorkload(runName(), fillWriters, fillEvents, o.PayloadBytes)
	)
	if left <= 0 {
		return nil
	}
	full := errors.New("full")
	_, _, err = drive(ctx, fillWriters, 1<<62, func(ctx context.Context, writer int) error {
		if done.Load() >= left {
			return full
		}
		// The first writer that finds it full stops the others between two appends, so that the head stays.
		if err := w.append(context.WithoutCancel(ctx), a.store, writer); err != nil {
			return err
		}
		n := done.Add(fillEvents)
		if o.Progress != nil {
			o.Progress(min(n, left), left)
		}
		return nil
	})
	if errors.Is(err, full) {
		return nil
	}
	return err
}

func (a *Admin) replays(ctx context.Context, baseline Baseline, rounds int) (ReadFigures, error) {
	var figures ReadFigures
	c, err := compareReads(ctx, baseline, rounds, func() (rate float64, err error) {
		var heap float64
		rate, figures.Events, heap, err = a.replay(ctx)
		figures.PeakHeapMB = max(figures.PeakHeapMB, heap)
		return rate, err
	})
	figures.EventsPerSecond, figures.RawEventsPerSecond, figures.Ratio = c.ours, c.raw, c.ratio
	return figures, err
}

// comparison holds medians of rates, and of the ratios of the rounds.
type comparison struct{ ours, raw, ratio float64 }

// compareReads measures something in turns with the baseline's raw read of the log. Without a baseline its figures are 0.
func compareReads(ctx context.Context, baseline Baseline, rounds int, measure func() (rate float64, err error)) (comparison, error) {
	var ours, raw, ratios []float64
	for range rounds {
		runtime.GC()
		rate, err := measure()
		if err != nil {
			return comparison{}, err
		}
		ours = append(ours, rate)
		if baseline == nil {
			continue
		}
		runtime.GC()
		start := time.Now()
		rows, err := baseline.Read(ctx)
		if err != nil {
			return comparison{}, fmt.Errorf("raw read: %w", err)
		}
		rawRate := float64(rows) / time.Since(start).Seconds()
		raw, ratios = append(raw, rawRate), append(ratios, rate/rawRate)
	}
	return comparison{ours: median(ours), raw: median(raw), ratio: median(ratios)}, nil
}

// replay reads the whole log, touching the bytes of each event.
func (a *Admin) replay(ctx context.Context) (perSecond float64, events int64, heapMB float64, err error) {
	before := heapBytes()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() { peak <- watchHeap(stop) }()
	start := time.Now()
	var bytes int
	for e, readErr := range a.store.ReadLog(ctx, store.LogRead{}) {
		if readErr != nil {
			err = readErr
			break
		}
		bytes += len(e.Data) + len(e.RawMetadata)
		events++
	}
	elapsed := time.Since(start)
	close(stop)
	highest := max(<-peak, before)
	if err == nil && bytes == 0 && events > 0 {
		err = errors.New("the events hold no data")
	}
	return float64(events) / elapsed.Seconds(), events, float64(highest-before) / (1 << 20), err
}

// watchHeap gives the greatest heap that it saw until stop.
func watchHeap(stop <-chan struct{}) (peak uint64) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		peak = max(peak, heapBytes())
		select {
		case <-stop:
			return peak
		case <-ticker.C:
		}
	}
}

func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
