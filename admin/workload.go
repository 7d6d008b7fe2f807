package admin

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// benchStreams is over how many streams a benchmark spreads its appends.
const benchStreams = 4000

// benchType is the type of the events.
const benchType = "bench.appended"

// workload is what the writers of a benchmark append. Each writer has streams of its own, so that exact expected
// versions never conflict.
type workload struct {
	name      string // of this run, part of the stream names
	writers   int
	perAppend int
	streams   []event.StreamID
	versions  []event.Version // of streams; each is touched by one writer alone
	next      []int           // each writer's next stream
	payloads  [][]byte
	metadata  event.Metadata
	position  atomic.Int64
}

// runName names a run, so that its streams and topics are those of no other: by the random end of an id, since the ids of
// one moment begin alike.
func runName() string {
	id := event.NewID().String()
	return id[len(id)-12:]
}

func newWorkload(name string, writers, perAppend, payload int) *workload {
	w := &workload{name: name, writers: writers, perAppend: perAppend, next: make([]int, writers)}
	count := max(benchStreams, writers)
	w.streams = make([]event.StreamID, count)
	w.versions = make([]event.Version, count)
	for i := range w.streams {
		w.streams[i] = event.StreamID(fmt.Sprintf("%s-%s-%06d", benchCategory, name, i))
	}
	for i := range w.next {
		w.next[i] = i
	}
	for i := range 64 {
		w.payloads = append(w.payloads, benchPayload(i, payload))
	}
	w.metadata = event.Metadata{CorrelationID: event.NewID().String(), Actor: "lexevents bench"}
	return w
}

// benchPayload is a JSON object of the given size.
func benchPayload(n, size int) []byte {
	head := fmt.Sprintf(`{"order":%d,"customer":"customer-%04d","amount_cents":%d,"note":"`, 100_000+n, n*37, n*1999)
	return []byte(head + strings.Repeat("lorem ipsum ", size/12+1)[:max(0, size-len(head)-2)] + `"}`)
}

// turn gives the stream that is the writer's next.
func (w *workload) turn(writer int) int {
	i := w.next[writer]
	if w.next[writer] += w.writers; w.next[writer] >= len(w.streams) {
		w.next[writer] = writer
	}
	return i
}

// append is one append of one writer to a store.
func (w *workload) append(ctx context.Context, s *store.Store, writer int) error {
	i := w.turn(writer)
	events := make([]event.Pending, w.perAppend)
	for j := range events {
		events[j] = event.Pending{Type: benchType, Data: w.payloads[(i+j)%len(w.payloads)], Metadata: w.metadata}
	}
	res, err := s.Append(ctx, w.streams[i], store.Exactly(w.versions[i]), events...)
	if err != nil {
		return err
	}
	w.versions[i] = res.Version()
	return nil
}

// rows makes rows for a baseline, as a store would have recorded them.
func (w *workload) rows(writer, n int) []event.Recorded {
	i := w.turn(writer)
	rows := make([]event.Recorded, n)
	last := w.position.Add(int64(n))
	now := time.Now().UTC().Truncate(time.Microsecond)
	for j := range rows {
		w.versions[i]++
		rows[j] = event.Recorded{
			ID: event.NewID(), Stream: w.streams[i], Version: w.versions[i],
			Position: event.Position(last - int64(n-1-j)), Type: benchType, SchemaVersion: 1,
			ContentType: event.JSON, Data: w.payloads[(i+j)%len(w.payloads)],
			RawMetadata: w.metadata.AppendJSON(nil), OccurredAt: now, RecordedAt: now,
		}
	}
	return rows
}

// drive lets the writers work in a closed loop for a while, and gives the rate of calls and how long each call took.
func drive(ctx context.Context, writers int, d time.Duration, call func(ctx context.Context, writer int) error) (perSecond float64, took []time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		group sync.WaitGroup
		each  = make([][]time.Duration, writers)
		start = time.Now()
	)
	for writer := range writers {
		group.Go(func() {
			for time.Since(start) < d && ctx.Err() == nil {
				begun := time.Now()
				if err := call(ctx, writer); err != nil {
					cancel(err) // the first error stops the others
					return
				}
				each[writer] = append(each[writer], time.Since(begun))
			}
		})
	}
	group.Wait()
	elapsed := time.Since(start)
	if err := context.Cause(ctx); err != nil {
		return 0, nil, err
	}
	for _, of := range each {
		took = append(took, of...)
	}
	return float64(len(took)) / elapsed.Seconds(), took, nil
}
