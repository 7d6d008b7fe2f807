package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/store"
)

// maxLineBytes bounds a line: an event at the default limit, encoded as base64, is well below it.
const maxLineBytes = 16 << 20

// Imported says how far an import got.
type Imported struct {
	Lines    int64 `json:"lines"`    // lines whose events are in the store now
	Appended int64 `json:"appended"` // events that this import added
	Present  int64 `json:"present"`  // events that were there before
	Bytes    int64 `json:"bytes"`    // read so far
}

// Import says how to copy events in.
type Import struct {
	// Progress is called after each commit. Defaults to none.
	Progress func(Imported)
}

// LineError says which line of an import was refused, and why. What stood before it is in the store.
type LineError struct {
	Line int64
	Err  error
}

// Error implements error.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// ErrorCode implements errcode.Coded.
func (*LineError) ErrorCode() errcode.Code { return errcode.ImportLine }

// Unwrap gives the reason.
func (e *LineError) Unwrap() error { return e.Err }

// Import appends the events of r, one line of JSON each as Export writes them, in their order. Ids, times, metadata and
// tags are kept; the store gives positions and versions. It is idempotent by event id: what is there already is
// skipped, so an import that was interrupted is completed by running it again.
//
// Consecutive lines are appended together, as long as no stream comes back after another, so that the order of the
// lines is the order of the log. It holds one such commit in memory.
func (a *Admin) Import(ctx context.Context, r io.Reader, o Import) (Imported, error) {
	in := importer{store: a.store, limits: a.store.Limits(), progress: o.Progress}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), maxLineBytes)
	number := int64(1)
	for ; scanner.Scan(); number++ {
		if err := ctx.Err(); err != nil {
			return in.done, err
		}
		in.done.Bytes += int64(len(scanner.Bytes())) + 1
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		l, err := ParseLine(text)
		if err != nil {
			return in.stop(ctx, &LineError{Line: number, Err: err})
		}
		if err := in.add(ctx, numbered{Line: l, number: number}); err != nil {
			return in.done, err
		}
	}
	switch err := scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return in.stop(ctx, &LineError{Line: number, Err: fmt.Errorf("is longer than %d MiB", maxLineBytes>>20)})
	case err != nil:
		return in.stop(ctx, fmt.Errorf("read: %w", err))
	}
	return in.done, in.flush(ctx)
}

// stop appends what stood before a fault, and gives the fault.
func (in *importer) stop(ctx context.Context, fault error) (Imported, error) {
	if err := in.flush(ctx); err != nil {
		return in.done, err
	}
	return in.done, fault
}

// numbered is a line and its place in the input.
type numbered struct {
	Line
	number int64
}

func (l numbered) refused(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrClosed) {
		return err
	}
	return &LineError{Line: l.number, Err: err}
}
