package admin

import (
	"context"
	"errors"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The bounds of one commit of an import. They depend on the lines alone, so that importing the same lines again forms
// the same commits, which the store recognises whole.
const (
	importEvents = 1000
	importBytes  = 4 << 20
)

// importer gathers lines into commits.
type importer struct {
	store    *store.Store
	limits   store.Limits
	progress func(Imported)
	done     Imported

	lines   []numbered
	bytes   int
	streams map[event.StreamID]bool // of lines
}

// add gathers a line, after appending what is there if the line cannot join it.
func (in *importer) add(ctx context.Context, l numbered) error {
	size := len(l.Event.Data) + 256
	if !in.joins(l, size) {
		if err := in.flush(ctx); err != nil {
			return err
		}
	}
	if l.Event.Type == event.TombstoneType {
		return in.delete(ctx, l)
	}
	if in.streams == nil {
		in.streams = map[event.StreamID]bool{}
	}
	in.lines, in.bytes = append(in.lines, l), in.bytes+size
	in.streams[l.Stream] = true
	return nil
}

func (in *importer) joins(l numbered, size int) bool {
	if len(in.lines) == 0 {
		return true
	}
	if l.Event.Type == event.TombstoneType || len(in.lines) >= min(importEvents, in.limits.MaxCommitEvents) ||
		in.bytes+size > min(importBytes, in.limits.MaxCommitBytes) {
		return false
	}
	return in.lines[len(in.lines)-1].Stream == l.Stream || !in.streams[l.Stream]
}

// flush appends the gathered lines in one commit.
func (in *importer) flush(ctx context.Context) error {
	lines := in.lines
	if len(lines) == 0 {
		return nil
	}
	in.lines, in.bytes = lines[:0], 0
	clear(in.streams)
	return in.commit(ctx, lines)
}

// commit appends lines in one commit. Where some of them are there already, or one is refused, it appends them by
// halves, in order: a run of lines that is there is recognised whole, and a line that is refused is found.
func (in *importer) commit(ctx context.Context, lines []numbered) error {
	res, err := in.store.Commit(ctx, commitOf(lines))
	switch {
	case err == nil:
		in.count(res, int64(len(lines)))
		return nil
	case len(lines) == 1 || !isOfOneLine(err):
		return lines[0].refused(err)
	}
	half := len(lines) / 2
	if err := in.commit(ctx, lines[:half]); err != nil {
		return err
	}
	return in.commit(ctx, lines[half:])
}

// isOfOneLine reports whether an error may be the fault of one line, so that others can be appended without it.
func isOfOneLine(err error) bool {
	return errors.Is(err, store.ErrIDReused) || errors.Is(err, store.ErrInvalid) ||
		errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrStreamDeleted)
}

func commitOf(lines []numbered) store.Commit {
	var c store.Commit
	for _, l := range lines {
		if n := len(c.Appends); n == 0 || c.Appends[n-1].Stream != l.Stream {
			c.Appends = append(c.Appends, store.Append{Stream: l.Stream, Expected: store.Any()})
		}
		part := &c.Appends[len(c.Appends)-1]
		part.Events = append(part.Events, l.Event)
	}
	return c
}

// delete repeats the deletion that a tombstone tells of. The store writes a tombstone of its own.
func (in *importer) delete(ctx context.Context, l numbered) error {
	_, err := in.store.Delete(ctx, l.Stream, store.Any())
	if errors.Is(err, store.ErrNotFound) { // all that stood before it in the source is gone
		_, err = in.store.Delete(ctx, l.Stream, store.NoStream())
	}
	if err != nil && !errors.Is(err, store.ErrStreamDeleted) {
		return l.refused(err)
	}
	in.count(store.Result{Duplicate: err != nil}, 1)
	return nil
}

func (in *importer) count(res store.Result, lines int64) {
	in.done.Lines += lines
	if res.Duplicate {
		in.done.Present += lines
	} else {
		in.done.Appended += lines
	}
	if in.progress != nil {
		in.progress(in.done)
	}
}
