package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// crowd are the consumer processes.
type crowd struct {
	command func() *exec.Cmd
	running []*exec.Cmd

	kills, freezes int
}

func (t *feedtest) crowd(program string) *crowd {
	return &crowd{
		command: func() *exec.Cmd {
			cmd := exec.Command(program, "-consumer", "-store", t.store, "-folder", t.folder)
			cmd.Stderr = os.Stderr
			return cmd
		},
		running: make([]*exec.Cmd, t.consumers),
	}
}

func (c *crowd) start(i int) error {
	c.running[i] = c.command()
	return c.running[i].Start()
}

// torment kills and restarts consumers, or freezes them until their leases are over, until ctx ends.
func (c *crowd) torment(ctx context.Context) error {
	for {
		if !wait(ctx, 200*time.Millisecond+rand.N(1500*time.Millisecond)) {
			return nil
		}
		i := rand.N(len(c.running))
		if rand.N(4) == 0 {
			if err := c.freeze(ctx, i); err != nil {
				return err
			}
			continue
		}
		if err := c.kill(i); err != nil {
			return fmt.Errorf("kill consumer %d: %w", i, err)
		}
		if err := c.start(i); err != nil {
			return err
		}
	}
}

func (c *crowd) kill(i int) error {
	if err := c.running[i].Process.Kill(); err != nil { // SIGKILL
		return fmt.Errorf("it has ended by itself: %w", err)
	}
	_ = c.running[i].Wait() // ended by a signal
	if c.running[i].ProcessState.ExitCode() != -1 {
		return fmt.Errorf("it has ended by itself: %v", c.running[i].ProcessState)
	}
	c.kills++
	return nil
}

// freeze lets a consumer's leases run out while it cannot know, so that it wakes up as a stale owner.
func (c *crowd) freeze(ctx context.Context, i int) error {
	if err := c.running[i].Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	c.freezes++
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
		ending.Go(func() {
			if errs[i] = cmd.Process.Signal(syscall.SIGTERM); errs[i] == nil {
				errs[i] = cmd.Wait()
			}
		})
	}
	ending.Wait()
	return errors.Join(errs...)
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
