package schedule_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/schedule"
	"lexigram.dev/events/store"
)

// The child's part is told by these variables.
const (
	childStore  = "SCHEDULE_TEST_STORE"  // the file of the store
	childLedger = "SCHEDULE_TEST_LEDGER" // where it notes the commands it got
)

// TestChildProcess is what another process does for the test below: it makes deliveries until it is killed.
func TestChildProcess(t *testing.T) {
	path := os.Getenv(childStore)
	if path == "" {
		t.Skip("it is started by another test")
	}
	ledger, err := os.OpenFile(os.Getenv(childLedger), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	o := brief(t, &calls{}, func(ctx context.Context, r remind) error {
		info, _ := schedule.InfoFrom(ctx)
		_, err := fmt.Fprintf(ledger, "%s %s\n", r.Who, info.Key)
		return err
	})
	o.Lease = 300 * time.Millisecond
	run(t, newScheduler(t, store.New(everystore.File(t, path), store.Options{}), o))
	fmt.Println("child is up")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent lets go of it
}

// TestKilledProcessesLoseAndDoubleNothing kills one of two processes again and again while they make deliveries that a third
// one, this, schedules.
func TestKilledProcessesLoseAndDoubleNothing(t *testing.T) {
	const n = 600
	folder := t.TempDir()
	path, ledger := filepath.Join(folder, "events.db"), filepath.Join(folder, "ledger")
	must(t, os.WriteFile(ledger, nil, 0o600))
	log := store.New(everystore.File(t, path), store.Options{})
	s := newScheduler(t, log, brief(t, &calls{}, nil))
	child := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildProcess$", "-test.v")
		cmd.Env = append(os.Environ(), childStore+"="+path, childLedger+"="+ledger)
		_, err := cmd.StdinPipe()
		must(t, err)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for lines.Scan() && !strings.Contains(lines.Text(), "child is up") {
		}
		go func() { _, _ = io.Copy(io.Discard, out) }()
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
		return cmd
	}
	child()
	start := time.Now()
	next := 0
	for kills := range 4 {
		victim := child()
		for ; next < n*(kills+1)/4; next++ {
			at := start.Add(time.Duration(next) * 5 * time.Millisecond)
			must(t, s.At(t.Context(), "e"+number(next), at, schedule.Event("reminder-1", reminded{number(next)})))
			must(t, s.At(t.Context(), "c"+number(next), at, schedule.Command(remind{number(next)})))
		}
		must(t, victim.Process.Kill())
	}
	empty(t, s.Control)
	events := map[string]bool{}
	for _, e := range stored(t, log, "reminder-1") {
		if events[string(e.Data)] {
			t.Errorf("%s is stored twice", e.Data)
		}
		events[string(e.Data)] = true
	}
	content, err := os.ReadFile(ledger)
	must(t, err)
	keys, lines := map[string]bool{}, strings.Fields(string(content))
	for i := 0; i+1 < len(lines); i += 2 {
		keys[lines[i]+lines[i+1]] = true
	}
	if len(events) != n || len(keys) != n {
		t.Errorf("%d events and %d commands of %d", len(events), len(keys), n)
	}
	t.Logf("%d commands were handled %d times", len(keys), len(lines)/2)
}
