package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"

	"lexigram.dev/events/event"
)

// generate writes events of a few hundred streams, the same each time.
func generate(path string, events int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	for i := range events {
		fmt.Fprintf(w, `{"stream":"account-%d","id":"%s","type":"account.credited","occurred_at":"2026-01-02T03:04:05Z",`+
			`"tags":["batch:%d"],"metadata":{"actor":"crashtest"},"data":{"n":%d,"amount_cents":%d}}`+"\n",
			i*7919%499, event.DerivedID(event.ID{0xc}, fmt.Sprint(i)), i/1000, i, i*31%10_000)
	}
	return w.Flush()
}

// recordedAt is the one field that two imports of the same lines differ in.
var recordedAt = regexp.MustCompile(`"recorded_at":"[^"]*"`)

// same compares the exports of two stores line by line.
func (t *crashtest) same(ctx context.Context, a, b string) error {
	want, err := t.open(ctx, a)
	if err != nil {
		return err
	}
	got, err := t.open(ctx, b)
	if err != nil {
		return errors.Join(err, want.close())
	}
	lines := 0
	for {
		x, y := want.next(), got.next()
		if x == nil && y == nil {
			break
		}
		lines++
		if !bytes.Equal(x, y) {
			return errors.Join(fmt.Errorf("line %d of the export is\n  %s\nbut in one piece it is\n  %s", lines, y, x), want.close(), got.close())
		}
	}
	if err := errors.Join(want.close(), got.close()); err != nil {
		return err
	}
	if lines != t.events {
		return fmt.Errorf("the export has %d lines, want %d", lines, t.events)
	}
	fmt.Printf("exports:    %d equal lines\n", lines)
	return nil
}

// export is a running export.
type export struct {
	cmd     *exec.Cmd
	scanner *bufio.Scanner
	cancel  context.CancelFunc
}

func (t *crashtest) open(ctx context.Context, store string) (*export, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, t.program, "export", "--store", store)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &export{cmd: cmd, scanner: bufio.NewScanner(out), cancel: cancel}, nil
}

// next gives the next line; nil at the end.
func (e *export) next() []byte {
	if !e.scanner.Scan() {
		return nil
	}
	return recordedAt.ReplaceAll(e.scanner.Bytes(), nil)
}

// close waits for an export that was read to its end, and stops any other.
func (e *export) close() error {
	defer e.cancel()
	if e.scanner.Scan() {
		e.cancel()
		_ = e.cmd.Wait() // it was stopped
		return nil
	}
	return errors.Join(e.scanner.Err(), e.cmd.Wait())
}
