package migrate_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/sqlitestore"
)

// killVariable makes the test's program a copy that is to be killed: its value is the mode.
const killVariable = "MIGRATE_TEST_COPY"

// modes are the copies that are killed: as they are, through a transform into another store, and within one.
var modes = []string{"plain", "into", "within"}

func file(t *testing.T, path string) *store.Store {
	t.Helper()
	b, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{AutoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(b, store.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func killOptions(mode string) migrate.TransformOptions {
	o := migrate.TransformOptions{BatchEvents: 8}
	if mode == "within" {
		o.Filter, o.Into = store.Filter{Categories: []string{"order"}}, []string{"purchase"}
	}
	return o
}

// TestCopyProcess is the process that is killed. It prints a line after each batch.
func TestCopyProcess(t *testing.T) {
	mode := os.Getenv(killVariable)
	if mode == "" {
		t.Skip("run by TestACopyThatIsKilledAnywhereGoesOnWithoutLossOrDoubles")
	}
	from := file(t, os.Getenv("MIGRATE_TEST_FROM"))
	to := from
	if mode != "within" {
		to = file(t, os.Getenv("MIGRATE_TEST_TO"))
	}
	progress := func(migrate.Progress) { fmt.Println("batch") }
	var err error
	if mode == "plain" {
		_, err = migrate.Copy(t.Context(), from, to, migrate.Options{BatchEvents: 8, Progress: progress})
	} else {
		o := killOptions(mode)
		o.Progress = progress
		_, err = migrate.CopyTransformed(t.Context(), from, to, remake("purchase", false), o)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestACopyThatIsKilledAnywhereGoesOnWithoutLossOrDoubles(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			source, target := filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
			from := file(t, source)
			shop(t, from, 0, 400)
			kills := 0
			for lines := 1; !runAndKill(t, mode, source, target, lines); lines++ {
				if kills++; kills > 100 {
					t.Fatal("it makes no progress")
				}
			}
			if kills < 3 {
				t.Errorf("it was killed %d times only", kills)
			}
			t.Logf("killed %d times", kills)
			to := from
			if mode != "within" {
				to = file(t, target)
			}
			if mode == "plain" {
				compared, err := migrate.Compare(t.Context(), from, to, migrate.Comparison{})
				if err != nil || !compared.OK() || compared.Target.Events != 400 {
					t.Fatalf("got %+v (%v)", compared, err)
				}
				return
			}
			mustBeProven(t, from, to, remake("purchase", false), killOptions(mode))
			whole := memory()
			mustTransform(t, from, whole, remake("purchase", false), migrate.TransformOptions{Filter: store.Filter{Categories: []string{"order"}}})
			if got, want := events(t, to, "purchase"), events(t, whole); !slices.Equal(got, want) {
				t.Errorf("%d events came out, want %d", len(got), len(want))
			}
			ids := map[event.ID]bool{}
			for e, err := range to.ReadLog(t.Context(), store.LogRead{}) {
				if err != nil || ids[e.ID] {
					t.Fatalf("id %s is there twice (%v)", e.ID, err)
				}
				ids[e.ID] = true
			}
		})
	}
}

// runAndKill runs a copy and kills it (SIGKILL) when it has printed so many lines: while it is at the next batch. It
// reports whether it had ended by itself.
func runAndKill(t *testing.T, mode, source, target string, lines int) (ended bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCopyProcess$", "-test.v") //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), killVariable+"="+mode, "MIGRATE_TEST_FROM="+source, "MIGRATE_TEST_TO="+target)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	batches := 0
	for s := bufio.NewScanner(out); s.Scan(); {
		said = append(said, s.Text())
		if s.Text() == "batch" {
			if batches++; batches == lines {
				_ = cmd.Process.Kill() // it may have ended
			}
		}
	}
	err = cmd.Wait()
	if err != nil && batches < lines {
		t.Fatalf("it failed by itself: %v: %v", err, said)
	}
	return err == nil
}
