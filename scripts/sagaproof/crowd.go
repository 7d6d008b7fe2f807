package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// crowd are the worker processes.
type crowd struct {
	program string
	task    task
	running []*exec.Cmd

	kills, freezes atomic.Int64
}

func (c *crowd) start(i int) error {
	text, err := json.Marshal(c.task)
	if err != nil {
		return err
	}
	cmd := exec.Command(c.program)
	cmd.Env = append(os.Environ(), workerEnv+"="+string(text))
	said, err := os.OpenFile(filepath.Join(c.task.Folder, "stderr"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = said.Close() }() // the process has its own
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return err
	}
	c.running[i] = cmd
	return nil
}

// torment kills workers and starts others at once, or freezes them until their leases are over, until ctx ends.
func (c *crowd) torment(ctx context.Context) error {
	for wait(ctx, 500*time.Millisecond+rand.N(3*time.Second)) {
		i := rand.N(len(c.running))
		if rand.N(4) == 0 {
			if err := c.freeze(ctx, i); err != nil {
				return fmt.Errorf("freeze worker %d: %w", i, err)
			}
			continue
		}
		if err := c.kill(i); err != nil {
			return fmt.Errorf("kill worker %d: %w", i, err)
		}
		if err := c.start(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) kill(i int) error {
	cmd := c.running[i]
	if err := cmd.Process.Kill(); err != nil { // SIGKILL
		return fmt.Errorf("it has ended by itself: %w", err)
	}
	_ = cmd.Wait() // ended by a signal
	if cmd.ProcessState.ExitCode() != -1 {
		return fmt.Errorf("it has ended by itself: %v", cmd.ProcessState)
	}
	c.kills.Add(1)
	return nil
}

// freeze lets a worker's leases run out while it cannot know, so that it wakes up as a stale owner.
func (c *crowd) freeze(ctx context.Context, i int) error {
	if err := c.running[i].Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	c.freezes.Add(1)
	wait(ctx, lease+lease/2)
	return c.running[i].Process.Signal(syscall.SIGCONT)
}

// stop ends all in good order.
func (c *crowd) stop() error {
	var (
		ending sync.WaitGroup
		errs   = make([]error, len(c.running))
	)
	for i, cmd := range c.running {
		if cmd == nil {
			continue
		}
		ending.Go(func() {
			if errs[i] = cmd.Process.Signal(syscall.SIGTERM); errs[i] == nil {
				errs[i] = cmd.Wait()
			}
			if errs[i] != nil {
				errs[i] = fmt.Errorf("worker %d: %w", i, errs[i])
			}
		})
	}
	ending.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w; the workers said: %s", err, c.said())
	}
	return nil
}

// enough is how much of what the workers said is shown.
const enough = 4 << 10

// said gives the first report of the race detector, or else the last that the workers have said.
func (c *crowd) said() []byte {
	all, err := os.ReadFile(filepath.Join(c.task.Folder, "stderr"))
	if err != nil {
		return []byte(err.Error())
	}
	if i := bytes.Index(all, []byte("WARNING: DATA RACE")); i >= 0 {
		return all[i:min(len(all), i+enough)]
	}
	return all[max(0, len(all)-enough):]
}

// wait waits; false when ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
