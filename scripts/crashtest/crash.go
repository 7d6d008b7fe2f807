package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"time"
)

// uninterrupted imports in one piece, and gives how long that took.
func (t *crashtest) uninterrupted(ctx context.Context, store string) (time.Duration, error) {
	start := time.Now()
	if _, err := t.lexevents(ctx, store, "import", t.input); err != nil {
		return 0, err
	}
	took := time.Since(start)
	fmt.Printf("one piece:  %d events in %v\n", t.events, took.Round(time.Millisecond))
	return took, nil
}

// crash kills the importer at random moments, and gives how often it hit it at work. An importer that was done before
// the moment came does not count, so the kills are spread over the work: each run begins where the last one died.
func (t *crashtest) crash(ctx context.Context, whole time.Duration) (killed int, err error) {
	reach := whole / time.Duration(t.kills)
	for attempt := 0; killed < t.kills; attempt++ {
		if attempt == 4*t.kills {
			return killed, fmt.Errorf("the importer was done %d of %d times before it could be killed: import more -events", attempt-killed, attempt)
		}
		hit, err := t.kill(ctx, whole/20+rand.N(2*reach))
		if err != nil {
			return killed, err
		}
		head, err := t.head(ctx)
		if err != nil {
			return killed, err
		}
		if _, err := t.lexevents(ctx, t.store, "verify"); err != nil {
			return killed, fmt.Errorf("after kill %d: %w", killed+1, err)
		}
		if hit {
			killed++
			fmt.Printf("kill %2d:    %d of %d events are there, verify ok\n", killed, head, t.events)
		}
	}
	return killed, nil
}

// kill starts an import and kills it after a while. It reports false where the import was done before.
func (t *crashtest) kill(ctx context.Context, after time.Duration) (hit bool, err error) {
	cmd := exec.CommandContext(ctx, t.program, "import", t.input, "--store", t.store)
	if err := cmd.Start(); err != nil {
		return false, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return false, err
	case <-time.After(after):
	}
	if err := cmd.Process.Kill(); err != nil { // SIGKILL; it may have ended just now
		return false, <-done
	}
	var exit *exec.ExitError
	if err := <-done; err != nil && !errors.As(err, &exit) {
		return false, err
	}
	return cmd.ProcessState.ExitCode() == -1, ctx.Err()
}

func (t *crashtest) head(ctx context.Context) (int64, error) {
	out, err := t.lexevents(ctx, t.store, "info", "--json")
	if err != nil {
		return 0, err
	}
	var info struct{ Head int64 }
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		return 0, err
	}
	return info.Head, nil
}
