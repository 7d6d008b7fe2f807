package admin

import (
	"context"
	"errors"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The bounds of one batch of an import. They depend on the lines alone, so that importing the same lines again forms
// the same commits, which the store recognises whole.
const (
	importEvents = 1000
	importBytes  = 4 << 20
)

// importer gathers lines into commits, and commits into a batch that is stored at once.
type importer struct {
	store    *store.Store
	limits   store.Limits
	progress func(Imported)
	done     Imported

	lines   []numbered              // of the batch
	ends    []int                   // where in lines each commit but the last one ends
	bytes   int                     // of the batch
	streams map[event.StreamID]bool // of the last commit
}

// add gathers a line. It first stores the batch if that is full, and begins another commit if the line's stream comes
// back after others: in one commit its events would move before theirs.
func (in *importer) add(ctx context.Context, l numbered) error {
	size := len(l.Event.Data) + 256
	deletes := l.Event.Type == event.TombstoneType
	full := len(in.lines) >= min(importEvents, in.limits.MaxCommitEvents) ||
		in.bytes+size > min(importBytes, in.limits.MaxCommitBytes)
	if deletes || full {
		if err := in.flush(ctx); err != nil {
			return err
		}
	}
	if deletes {
		return in.delete(ctx, l)
	}
	if n := len(in.lines); n > 0 && in.lines[n-1].Stream != l.Stream && in.streams[l.Stream] {
		in.ends = append(in.ends, n)
		clear(in.streams)
	}
	if in.streams == nil {
		in.streams = map[event.StreamID]bool{}
	}
	in.lines, in.bytes = append(in.lines, l), in.bytes+size
	in.streams[l.Stream] = true
	return nil
}

// flush stores the batch: in one transaction where the backend has them, else commit by commit.
func (in *importer) flush(ctx context.Context) error {
	if len(in.lines) == 0 {
		return nil
	}
	var commits [][]numbered
	from := 0
	for _, end := range append(in.ends, len(in.lines)) {
		commits = append(commits, in.lines[from:end])
		from = end
	}
	in.lines, in.ends, in.bytes = in.lines[:0], in.ends[:0], 0
	clear(in.streams)
	if len(commits) > 1 {
		results, err := in.transact(ctx, commits)
		if err == nil {
			for i, res := range results {
				in.count(res, int64(len(commits[i])))
			}
			in.report()
			return nil
		}
		if !isOfOneLine(err) && !errors.Is(err, store.ErrUnsupported) {
			return commits[0][0].refused(err)
		}
	}
	for _, lines := range commits {
		if err := in.commit(ctx, lines); err != nil {
			return err
		}
		in.report()
	}
	return nil
}

// transact stores the commits in one transaction, which flushes to the disk once.
func (in *importer) transact(ctx context.Context, commits [][]numbered) ([]store.Result, error) {
	var results []store.Result
	err := in.store.Transact(ctx, func(ctx context.Context) error {
		results = results[:0]
		for _, lines := range commits {
			res, err := in.store.Commit(ctx, commitOf(lines))
			if err != nil {
				return err
			}
			results = append(results, res)
		}
		return nil
	})
	return results, err
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
	in.report()
	return nil
}

func (in *importer) count(res store.Result, lines int64) {
	in.done.Lines += lines
	if res.Duplicate {
		in.done.Present += lines
	} else {
		in.done.Appended += lines
	}
}

func (in *importer) report() {
	if in.progress != nil {
		in.progress(in.done)
	}
}
