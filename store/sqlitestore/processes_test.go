package sqlitestore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The test binary runs itself as another process: with these variables set it does what they say and ends.
const (
	childTask = "SQLITESTORE_TEST_TASK"
	childPath = "SQLITESTORE_TEST_PATH"
	childName = "SQLITESTORE_TEST_NAME"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		if err := child(task, os.Getenv(childPath), os.Getenv(childName)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childWriters is how many goroutines append in a child process.
const childWriters = 8

func child(task, path, name string) error {
	ctx := context.Background()
	switch task {
	case "open":
		b, err := Open(ctx, path, Options{AutoMigrate: name == "create"})
		if err != nil {
			return err
		}
		_, err = store.New(b, store.Options{}).Append(ctx, "a-1", store.Any(), event.Pending{Type: "x"})
		return errors.Join(err, b.Close())
	case "write":
		return childWrites(ctx, path, name, 50)
	case "write for ever":
		return childWrites(ctx, path, name, 1<<30)
	}
	return fmt.Errorf("unknown task %q", task)
}

// childWrites appends to one stream from each goroutine and prints what was acknowledged.
func childWrites(ctx context.Context, path, name string, appends int) error {
	b, err := Open(ctx, path, Options{AutoMigrate: true})
	if err != nil {
		return err
	}
	s := store.New(b, store.Options{})
	failures := make([]error, childWriters)
	var wg sync.WaitGroup
	for w := range childWriters {
		wg.Go(func() {
			stream := event.StreamID(fmt.Sprintf("%s-%d", name, w))
			info, err := s.StreamInfo(ctx, stream)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				failures[w] = err
				return
			}
			version := info.Version
			for i := range appends {
				events := make([]event.Pending, 1+i%3)
				for j := range events {
					events[j] = event.Pending{Type: "thing.happened", Data: []byte(`{"n":1}`), Tags: []event.Tag{"k:1"}}
				}
				res, err := s.Append(ctx, stream, store.Exactly(version), events...)
				if err != nil {
					failures[w] = err
					return
				}
				version = res.Version()
				fmt.Printf("%s %d\n", stream, version) // one write: lines do not mix
			}
		})
	}
	wg.Wait()
	return errors.Join(append(failures, s.Close())...)
}

// startChild runs the test binary as another process.
func startChild(t *testing.T, task, path, name string) (*exec.Cmd, io.Reader, *strings.Builder) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childTask+"="+task, childPath+"="+path, childName+"="+name)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out, &stderr
}

// acknowledged collects what children printed: the newest version of each stream.
type acknowledged struct {
	mu       sync.Mutex
	versions map[event.StreamID]event.Version
	count    int
}

// read takes the lines of one child. It calls enough once count has reached n.
func (a *acknowledged) read(out io.Reader, n int, enough func()) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var stream event.StreamID
		var version event.Version
		if k, _ := fmt.Sscan(lines.Text(), &stream, &version); k != 2 {
			continue
		}
		a.mu.Lock()
		a.versions[stream] = max(a.versions[stream], version)
		if a.count++; a.count == n {
			enough()
		}
		a.mu.Unlock()
	}
}

// checkLog proves that positions and versions have no gaps, and gives the versions of the streams.
func checkLog(t *testing.T, b *Backend) map[event.StreamID]event.Version {
	t.Helper()
	versions := map[event.StreamID]event.Version{}
	var position event.Position
	for e, err := range b.ReadLog(t.Context(), store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		if position++; e.Position != position {
			t.Fatalf("position %d comes after %d", e.Position, position-1)
		}
		if versions[e.Stream]++; e.Version != versions[e.Stream] {
			t.Fatalf("position %d: stream %s has version %d after %d", e.Position, e.Stream, e.Version, versions[e.Stream]-1)
		}
	}
	return versions
}

// Several processes create the file at once, migrate it at once and append at once, while this one follows.
func TestSeveralProcessesShareAFile(t *testing.T) {
	const children = 3
	path := filepath.Join(t.TempDir(), "folder", "events.db")
	acks := &acknowledged{versions: map[event.StreamID]event.Version{}}
	var wg sync.WaitGroup
	for i := range children {
		cmd, out, stderr := startChild(t, "write", path, fmt.Sprintf("child%d", i))
		wg.Go(func() {
			acks.read(out, -1, nil)
			if err := cmd.Wait(); err != nil {
				t.Errorf("child %d: %v: %s", i, err, stderr)
			}
		})
	}
	b := openTest(t, path, Options{})
	wake, err := b.Wake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const total = children * childWriters * 99 // 50 appends of 1, 2, 3, 1, 2, 3… events
	for next := event.Position(1); next <= total; {
		for e, err := range b.ReadLog(t.Context(), store.LogRead{From: next}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Position != next {
				t.Fatalf("the follower saw position %d, then %d", next-1, e.Position)
			}
			next++
		}
		if next <= total {
			<-wake
		}
	}
	wg.Wait()
	versions := checkLog(t, b)
	for stream, version := range acks.versions {
		if versions[stream] != version {
			t.Errorf("stream %s: version %d was acknowledged, %d is stored", stream, version, versions[stream])
		}
	}
	if len(acks.versions) != children*childWriters {
		t.Errorf("%d streams were acknowledged", len(acks.versions))
	}
}

// Processes that are killed in the middle of writing lose nothing that they acknowledged, and leave no half commits.
func TestKilledProcessesLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	acks := &acknowledged{versions: map[event.StreamID]event.Version{}}
	for round := range 5 {
		var running []*exec.Cmd
		var outs []io.Reader
		for i := range 2 {
			cmd, out, _ := startChild(t, "write for ever", path, fmt.Sprintf("child%d", i))
			running, outs = append(running, cmd), append(outs, out)
		}
		acks.count = 0
		var wg sync.WaitGroup
		for _, out := range outs {
			wg.Go(func() {
				acks.read(out, 200+97*round, func() {
					for _, cmd := range running {
						_ = cmd.Process.Signal(syscall.SIGKILL) // an error means that it has ended already
					}
				})
			})
		}
		wg.Wait()
		for _, cmd := range running {
			var ended *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &ended) || ended.Exited() {
				t.Fatalf("round %d: the child was not killed: %v", round, err)
			}
		}
		b := openTest(t, path, Options{})
		versions := checkLog(t, b)
		for stream, version := range acks.versions {
			if versions[stream] < version {
				t.Errorf("round %d: stream %s: version %d was acknowledged, %d is stored", round, stream, version, versions[stream])
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
