package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"
)

// uninterrupted imports in one piece.
func (t *crashtest) uninterrupted(ctx context.Context, store string) error {
	start := time.Now()
	if _, err := t.lexevents(ctx, store, "import", t.input); err != nil {
		return err
	}
	fmt.Printf("one piece:  %d events in %v\n", t.events, time.Since(start).Round(time.Millisecond))
	return nil
}

// crash kills the importer at random moments. Each run gets further lines than the last before it dies, so that it first
// passes over what is there, and then dies while it appends.
func (t *crashtest) crash(ctx context.Context) error {
	var before int64
	for kill := 1; kill <= t.kills; kill++ {
		piece := t.events / (t.kills + 1)
		if err := t.kill(ctx, piece*(kill-1)+1+rand.N(2*piece)); err != nil {
			return fmt.Errorf("kill %d: %w", kill, err)
		}
		head, err := t.head(ctx)
		if err != nil {
			return err
		}
		if head < before {
			return fmt.Errorf("kill %d: %d events were there, and %d are left", kill, before, head)
		}
		before = head
		if _, err := t.lexevents(ctx, t.store, "verify"); err != nil {
			return fmt.Errorf("after kill %d: %w", kill, err)
		}
		fmt.Printf("kill %2d:    %d of %d events are there, verify ok\n", kill, head, t.events)
	}
	return nil
}

// kill starts an import, gives it so many lines, and kills it within the next few milliseconds: it has not seen the end
// of its input, and is at work on what it was given last.
func (t *crashtest) kill(ctx context.Context, lines int) error {
	in, err := os.Open(t.input)
	if err != nil {
		return err
	}
	defer in.Close()
	cmd := exec.CommandContext(ctx, t.program, "import", "-", "--store", t.store)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	fed := feed(stdin, in, lines)
	<-time.After(rand.N(20 * time.Millisecond))
	killed := cmd.Process.Kill() // SIGKILL
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case fed != nil || killed != nil:
		return fmt.Errorf("the importer ended by itself: %w: %s", errors.Join(fed, killed, err), said.String())
	case cmd.ProcessState.ExitCode() != -1: // -1: by a signal
		return fmt.Errorf("the importer ended by itself: %w: %s", err, said.String())
	}
	return nil
}

// feed copies so many lines.
func feed(w io.Writer, r io.Reader, lines int) error {
	from := bufio.NewReader(r)
	for range lines {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
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
