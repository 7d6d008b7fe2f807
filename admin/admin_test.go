package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func newStore(t *testing.T) *store.Store {
	t.Helper()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, s *store.Store, stream event.StreamID, events ...event.Pending) {
	t.Helper()
	if _, err := s.Append(t.Context(), stream, store.Any(), events...); err != nil {
		t.Fatal(err)
	}
}

func happened(kind, data string) event.Pending {
	return event.Pending{Type: kind, Data: []byte(data)}
}

func export(t *testing.T, s *store.Store) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := admin.New(s).Export(t.Context(), &out, admin.Export{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestInfoCountsStreamsAndShowsBothEndsOfTheLog(t *testing.T) {
	s := newStore(t)
	put(t, s, "order-1", happened("order.placed", `{}`))
	put(t, s, "order-2", happened("order.placed", `{}`), happened("order.paid", `{}`))
	info, err := admin.New(s).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Streams != 2 || info.Head != 3 || info.Oldest.Position != 1 || info.Newest.Type != "order.paid" {
		t.Errorf("info = %+v", info)
	}
}

func TestReadingAStreamThatNeverWasSaysSo(t *testing.T) {
	for _, err := range admin.New(newStore(t)).ReadStream(t.Context(), store.StreamRead{Stream: "order-1"}) {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error = %v, want not found", err)
		}
		return
	}
	t.Error("nothing came, want an error")
}

func TestTailShowsTheNewestMatchingEventsInOrder(t *testing.T) {
	s := newStore(t)
	for i := range 20 {
		put(t, s, "order-1", happened([]string{"even", "odd"}[i%2], `{}`))
	}
	filter := store.Filter{Query: store.Query{{Types: []string{"odd"}}}}
	var got []event.Position
	for e, err := range admin.New(s).Tail(t.Context(), admin.Tail{Last: 3, Filter: filter}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Position)
	}
	if fmt.Sprint(got) != "[16 18 20]" {
		t.Errorf("positions = %v, want [16 18 20]", got)
	}
}

func TestTailFollowsWhatIsAppendedLaterAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.New(memstore.New(memstore.Options{}), store.Options{})
		defer s.Close()
		put(t, s, "order-1", happened("order.placed", `{}`))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string)
		go func() {
			defer close(got)
			for e, err := range admin.New(s).Tail(ctx, admin.Tail{From: 1, Follow: true}) {
				if err != nil {
					got <- err.Error()
					return
				}
				got <- e.Type
			}
		}()
		if first := <-got; first != "order.placed" {
			t.Errorf("first = %s", first)
		}
		synctest.Wait()
		start := time.Now()
		put(t, s, "order-1", happened("order.paid", `{}`))
		if second := <-got; second != "order.paid" {
			t.Errorf("second = %s", second)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the event came after %v: by polling, not by the wake-up", waited)
		}
		cancel()
		if rest, more := <-got; more {
			t.Errorf("after the end came %s", rest)
		}
	})
}

func TestBenchRefusesAStoreThatPeopleUse(t *testing.T) {
	s := newStore(t)
	put(t, s, "order-1", happened("order.placed", `{}`))
	_, err := admin.New(s).BenchAppend(t.Context(), nil, admin.BenchAppend{Duration: time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "order-1") {
		t.Errorf("error = %v, want one that names order-1", err)
	}
}

// countingBaseline stands in for a driver: it stores nothing.
type countingBaseline struct{ pools []int }

func (b *countingBaseline) Insert(context.Context, []event.Recorded) error { return nil }
func (b *countingBaseline) Bulk(_ context.Context, rows []event.Recorded) error {
	for i := 1; i < len(rows); i++ {
		if rows[i].Position != rows[i-1].Position+1 {
			return fmt.Errorf("position %d follows %d", rows[i].Position, rows[i-1].Position)
		}
	}
	return nil
}
func (b *countingBaseline) Read(context.Context) (int64, error) { return 1000, nil }
func (b *countingBaseline) SetPool(_ context.Context, n int) error {
	b.pools = append(b.pools, n)
	return nil
}
func (b *countingBaseline) Close() error { return nil }

func TestBenchMeasuresAppendsAndReplaysAgainstABaseline(t *testing.T) {
	s, baseline := newStore(t), &countingBaseline{}
	appended, err := admin.New(s).BenchAppend(t.Context(), baseline, admin.BenchAppend{
		Writers: 4, EventsPerAppend: 2, Duration: 20 * time.Millisecond, Rounds: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if appended.EventsPerSecond <= 0 || appended.AppendsPerSecond*2 != appended.EventsPerSecond ||
		appended.RawInsertEventsPerSecond <= 0 || appended.RatioToInsert <= 0 || appended.RatioToBulk <= 0 {
		t.Errorf("figures = %+v", appended)
	}
	if len(baseline.pools) != 4 { // 1, 2, 4, and the best of them
		t.Errorf("pools tried = %v", baseline.pools)
	}
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	read, err := admin.New(s).BenchRead(t.Context(), baseline, admin.BenchRead{Events: int64(head) + 100, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	if read.Events < int64(head)+100 || read.Ratio <= 0 {
		t.Errorf("figures = %+v after head %d", read, head)
	}
}
