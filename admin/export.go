package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Export says what to copy out.
type Export struct {
	// Filter restricts the events; the backend applies it.
	Filter store.Filter

	// Progress is called with the position reached and the head that the export ends at, after every thousand events
	// and at the end. Defaults to none.
	Progress func(at, head event.Position)
}

// Export writes the log, up to the head as it is now, as one line of JSON per event, and returns how many it wrote. It
// holds one event in memory.
func (a *Admin) Export(ctx context.Context, w io.Writer, x Export) (events int64, err error) {
	head, err := a.store.Head(ctx)
	if err != nil || head == 0 {
		return 0, err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	var buffer []byte
	for e, err := range a.store.ReadLog(ctx, store.LogRead{To: head, Filter: x.Filter}) {
		if err != nil {
			return events, fmt.Errorf("export: after %d events: %w", events, err)
		}
		buffer = append(AppendLine(buffer[:0], &e), '\n')
		if _, err := out.Write(buffer); err != nil {
			return events, fmt.Errorf("export: write event at position %d: %w", e.Position, err)
		}
		events++
		if x.Progress != nil && events%1000 == 0 {
			x.Progress(e.Position, head)
		}
	}
	if err := out.Flush(); err != nil {
		return events, fmt.Errorf("export: write: %w", err)
	}
	if x.Progress != nil {
		x.Progress(head, head)
	}
	return events, nil
}
