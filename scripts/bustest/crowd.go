package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// saidFile is where the processes' standard error goes: clients of brokers report lost connections there.
const saidFile = "stderr"

// lastWords gives the end of what the processes have said.
func lastWords(folder string) string {
	text, err := os.ReadFile(filepath.Join(folder, saidFile))
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "")
}

// crowd are processes of one role.
type crowd struct {
	tasks   []task
	program string
	limit   int64 // bytes of memory for each

	mu      sync.Mutex
	running []*exec.Cmd
	kills   int
	rss     int64 // the most that one of them has taken, in bytes
}

func newCrowd(program string, limit int64, tasks ...task) *crowd {
	return &crowd{tasks: tasks, program: program, limit: limit, running: make([]*exec.Cmd, len(tasks))}
}

func (c *crowd) start() error {
	for i := range c.tasks {
		if err := c.startOne(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) startOne(i int) error {
	text, err := json.Marshal(c.tasks[i])
	if err != nil {
		return err
	}
	cmd := exec.Command(c.program)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	said, err := os.OpenFile(filepath.Join(c.tasks[i].Folder, saidFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
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

// ended notes what a process has used.
func (c *crowd) ended(cmd *exec.Cmd) {
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.rss = max(c.rss, usage.Maxrss<<10) // Linux counts KiB
	}
}

// replace kills a process with -9, and starts another in its place.
func (c *crowd) replace(i int) error {
	cmd := c.running[i]
	if err := cmd.Process.Kill(); err != nil {
		return fmt.Errorf("a %s has ended by itself: %w", c.tasks[i].Role, err)
	}
	_ = cmd.Wait() // ended by a signal
	if cmd.ProcessState.ExitCode() != -1 {
		return fmt.Errorf("a %s has ended by itself: %v", c.tasks[i].Role, cmd.ProcessState)
	}
	c.ended(cmd)
	c.kills++
	return c.startOne(i)
}

// wait waits for all to end by themselves.
func (c *crowd) wait() error {
	var (
		ending sync.WaitGroup
		errs   = make([]error, len(c.running))
	)
	for i, cmd := range c.running {
		if cmd == nil {
			continue
		}
		ending.Go(func() {
			if errs[i] = cmd.Wait(); errs[i] != nil {
				errs[i] = fmt.Errorf("a %s: %w", c.tasks[i].Role, errs[i])
			}
			c.ended(cmd)
		})
	}
	ending.Wait()
	if c.rss > c.limit {
		errs = append(errs, fmt.Errorf("a %s took %d MiB of memory, more than %d", c.tasks[0].Role, c.rss>>20, c.limit>>20))
	}
	return errors.Join(errs...)
}

// stop ends all in good order.
func (c *crowd) stop() error {
	for _, cmd := range c.running {
		if cmd != nil {
			_ = cmd.Process.Signal(syscall.SIGTERM) // one that has ended shows in wait
		}
	}
	return c.wait()
}
