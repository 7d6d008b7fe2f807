package subscription_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
	"lexigram.dev/events/store/sqlitestore"
	"lexigram.dev/events/subscription"
)

// The test binary runs itself as the process that follows: these variables say what.
const (
	followedKind   = "SUBSCRIPTION_BENCH_KIND"
	followedURL    = "SUBSCRIPTION_BENCH_URL"
	followedSchema = "SUBSCRIPTION_BENCH_SCHEMA"
)

// BenchmarkToAnotherProcess measures the way of an event, from the call of Append to a handler in another process, in an
// idle system: one append after the other, with breaths of different lengths in between. It reports the median and the 99th percentile.
func BenchmarkToAnotherProcess(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "events.db")
		toAnotherProcess(b, everystore.File(b, path), followedKind+"=sqlite", followedURL+"="+path)
	})
	b.Run("postgres", func(b *testing.B) {
		url, schema := everystore.Postgres(b)
		backend, err := pgstore.Open(b.Context(), url, pgstore.Options{AutoMigrate: true, Schema: schema})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = backend.Close() })
		toAnotherProcess(b, backend, followedKind+"=postgres", followedURL+"="+url, followedSchema+"="+schema)
	})
}

func toAnotherProcess(b *testing.B, backend store.Backend, environment ...string) {
	b.Helper()
	s := store.New(backend, store.Options{})
	child := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^TestFollowsForAnotherProcess$", "-test.count", "1")
	child.Env = append(os.Environ(), environment...)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill() // it follows until it is stopped
		_ = child.Wait()
	}()
	lines := bufio.NewScanner(output)
	if !lines.Scan() || lines.Text() != "ready" {
		b.Fatalf("the other process said %q, not that it is ready", lines.Text())
	}
	took := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		<-time.After(time.Duration(20+i*7%25) * time.Millisecond) // so that appends come at any moment between two polls
		begun := time.Now()
		if _, err := s.Append(b.Context(), "elsewhere-1", store.Any(), event.Pending{Type: "order.placed", Data: []byte(payload)}); err != nil {
			b.Fatal(err)
		}
		if !lines.Scan() {
			b.Fatal("the other process has ended")
		}
		arrived, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Unix(0, arrived).Sub(begun.Round(0))) // both by the machine's wall clock
	}
	slices.Sort(took)
	for _, q := range []struct {
		unit  string
		place int
	}{{"p50-ms", len(took) / 2}, {"p99-ms", len(took) * 99 / 100}} {
		b.ReportMetric(took[q.place].Seconds()*1000, q.unit)
	}
}

// TestFollowsForAnotherProcess is the other process of BenchmarkToAnotherProcess. It says when it is ready, and then the
// time at which each event came to its handler.
func TestFollowsForAnotherProcess(t *testing.T) {
	var backend store.Backend
	var err error
	switch kind := os.Getenv(followedKind); kind {
	case "sqlite":
		backend, err = sqlitestore.Open(t.Context(), os.Getenv(followedURL), sqlitestore.Options{})
	case "postgres":
		backend, err = pgstore.Open(t.Context(), os.Getenv(followedURL), pgstore.Options{Schema: os.Getenv(followedSchema)})
	default:
		t.Skip("it is run by BenchmarkToAnotherProcess")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backend.Close() }()
	sub := newSubscription(t, store.New(backend, store.Options{}), "elsewhere", subscription.Handler(func(context.Context, event.Recorded) error {
		_, err := fmt.Println(time.Now().UnixNano())
		return err
	}), subscription.Options{Start: subscription.FromNow()})
	m := start(t, sub)
	<-m.CaughtUp()
	fmt.Println("ready")
	if err := m.wait(); err != nil {
		t.Fatal(err)
	}
}
