package pgstore

import (
	"context"

	"lexigram.dev/events/event"
)

// ahead reads the next page while the present one is handled. In a transaction, whose one connection the user may be
// using, it reads when it is waited for. The reader of the sequence owns it: it calls wait or stop.
type ahead struct {
	read   func(ctx context.Context) followed
	cancel context.CancelFunc
	result chan followed // nil: not begun
}

// followed is a page that was read ahead.
type followed struct {
	page []event.Recorded
	more bool
	err  error
}

func (b *Backend) ahead(ctx context.Context, s *scan, d *decoder, more bool, into []event.Recorded) *ahead {
	a := &ahead{
		read: func(ctx context.Context) (f followed) {
			f.page, f.more, f.err = s.next(ctx, b, d, into)
			return f
		},
	}
	if more && b.joined(ctx) == nil {
		var reading context.Context
		reading, a.cancel = context.WithCancel(ctx)
		a.result = make(chan followed, 1)
		go func() { a.result <- a.read(reading) }()
	}
	return a
}

// wait gives the page.
func (a *ahead) wait(ctx context.Context) ([]event.Recorded, bool, error) {
	var f followed
	if a.result == nil {
		f = a.read(ctx)
	} else {
		f = <-a.result
		a.cancel()
	}
	return f.page, f.more, f.err
}

// stop ends the reading and waits for its end.
func (a *ahead) stop() {
	if a.result != nil {
		a.cancel()
		<-a.result
	}
}
