package redisstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
)

// The test binary runs itself as another process: with these variables set it writes and ends.
const (
	childURL     = "REDISSTORE_TEST_URL"
	childStore   = "REDISSTORE_TEST_STORE"
	childName    = "REDISSTORE_TEST_NAME"
	childWriters = 8
	childAppends = 50
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := childWrites(url, os.Getenv(childStore), os.Getenv(childName)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childWrites appends from each goroutine, to a stream of its own and to one that all processes share, and prints what
// was acknowledged.
func childWrites(url, name, child string) error {
	ctx := context.Background()
	b, err := redisstore.Open(ctx, url, redisstore.Options{Name: name, AutoMigrate: true, OnWarning: quiet})
	if err != nil {
		return err
	}
	s := store.New(b, store.Options{})
	failures := make([]error, childWriters)
	var wg sync.WaitGroup
	for w := range childWriters {
		wg.Go(func() {
			stream := event.StreamID(fmt.Sprintf("%s-%d", child, w))
			version := event.Version(0)
			for i := range childAppends {
				res, err := s.Append(ctx, stream, store.Exactly(version), pending(1+i%3)...)
				if err != nil {
					failures[w] = err
					return
				}
				version = res.Version()
				fmt.Printf("%s %d\n", stream, version) // one write: lines do not mix
				if _, err := s.Append(ctx, "shared-1", store.Exactly(event.Version(i)), pending(1)...); err != nil && !errors.Is(err, store.ErrConflict) {
					failures[w] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(append(failures, s.Close())...)
}

// Several processes make the store at once and append at once, while this one follows.
func TestSeveralProcessesShareAStore(t *testing.T) {
	for what, variable := range map[string]string{"default": defaultServer, "durable": durableServer} {
		t.Run(what, func(t *testing.T) {
			const children = 3
			url := testserver.URL(t, variable)
			name := newName(t, url)
			acknowledged := map[event.StreamID]event.Version{}
			var mu sync.Mutex
			read := func(out io.Reader) {
				for lines := bufio.NewScanner(out); lines.Scan(); {
					var stream event.StreamID
					var version event.Version
					if n, _ := fmt.Sscan(lines.Text(), &stream, &version); n == 2 {
						mu.Lock()
						acknowledged[stream] = max(acknowledged[stream], version)
						mu.Unlock()
					}
				}
			}
			var wg sync.WaitGroup
			for i := range children {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), childURL+"="+url, childStore+"="+name, fmt.Sprintf("%s=child%d", childName, i))
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					read(out)
					if err := cmd.Wait(); err != nil {
						t.Errorf("child %d: %v: %s", i, err, &stderr)
					}
				})
			}
			s := store.New(open(t, url, redisstore.Options{Name: name}), store.Options{})
			ended := make(chan struct{})
			go func() {
				wg.Wait()
				close(ended)
			}()
			follow(t, s, ended)
			versions, _ := checkLog(t, s)
			for stream, version := range acknowledged {
				if versions[stream] != version || version != 99 { // 50 appends of 1, 2, 3, 1, 2, 3… events
					t.Errorf("stream %s: version %d was acknowledged, %d is stored, want 99", stream, version, versions[stream])
				}
			}
			if len(acknowledged) != children*childWriters || versions["shared-1"] == 0 {
				t.Errorf("%d streams were acknowledged, the shared one has version %d", len(acknowledged), versions["shared-1"])
			}
		})
	}
}

// follow reads the log by wake-ups, and proves that no position is missed, until ended is closed and all is read.
func follow(t *testing.T, s *store.Store, ended <-chan struct{}) {
	t.Helper()
	wake, err := s.Backend().(store.Waker).Wake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := false
	for next := event.Position(1); ; {
		for e, err := range s.ReadLog(t.Context(), store.LogRead{From: next}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Position != next {
				t.Fatalf("the follower saw position %d, then %d", next-1, e.Position)
			}
			next++
		}
		if last {
			return
		}
		select {
		case <-wake:
		case <-ended:
			last = true
		}
	}
}

// A server with AOF always that is killed again and again in mid-load loses nothing that was acknowledged and doubles
// nothing, and the appends that it interrupts go on when it is back.
func TestAKilledServerLosesNothingThatItAcknowledged(t *testing.T) {
	own := testserver.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	s := store.New(open(t, own.URL, redisstore.Options{RequireDurable: true}), store.Options{})
	const writers = 16
	acknowledged := make([]event.Version, writers)
	stop, progress := make(chan struct{}), make(chan struct{}, 1)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := event.StreamID(fmt.Sprintf("w-%d", w))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case progress <- struct{}{}:
				default:
				}
				res, err := s.Append(t.Context(), stream, store.Exactly(acknowledged[w]), pending(1+i%3)...)
				if err != nil || res.Duplicate {
					t.Errorf("writer %d, append %d: %+v, %v", w, i, res, err)
					return
				}
				acknowledged[w] = res.Version()
			}
		})
	}
	for range 4 {
		for range 400 {
			<-progress
		}
		own.Kill()
		own.Start()
	}
	for range 400 {
		<-progress
	}
	close(stop)
	wg.Wait()
	versions, _ := checkLog(t, s)
	for w, want := range acknowledged {
		if got := versions[event.StreamID(fmt.Sprintf("w-%d", w))]; got != want {
			t.Errorf("writer %d: version %d was acknowledged, %d is stored", w, want, got)
		}
	}
}
