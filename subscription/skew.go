package subscription

import (
	"context"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
)

// setAside does with an event that another release wrote what the policy says, at once: to try again is of no use.
func (w *worker) setAside(ctx context.Context, stop <-chan struct{}, e *event.Recorded, cause error) error {
	now := w.o.Now()
	f := failure{cause: cause, attempts: 1, first: now, last: now, reason: deadletter.Skew}
	parks := w.o.Skew == FailureParkStream
	err := w.fault(e, f)
	if parks {
		err = w.park(ctx, stop, e, f)
	}
	if parks == (err == nil) {
		w.alert(ctx, e, cause, parks)
	}
	return err
}

func (w *worker) alert(ctx context.Context, e *event.Recorded, cause error, parked bool) {
	skew, _ := schema.SkewOf(cause)
	metadata, _ := e.Metadata() // without it the alarm lacks the tenant
	w.o.Hooks.Skew(ctx, observe.Skew{
		Consumer: w.o.Source, Reason: string(skew), Type: e.Type, SchemaVersion: e.SchemaVersion, EventID: e.ID.String(),
		Stream: string(e.Stream), Position: int64(e.Position), Tenant: metadata.Tenant, Parked: parked, Err: cause,
	})
}

// retrySkewed asks for a retry of what an older release has set aside in this partition; where this one cannot read it
// either, it stays where it is.
func (w *worker) retrySkewed(ctx context.Context) error {
	n, err := w.o.DeadLetters.RetrySkewed(ctx, w.o.Source, func(letter *deadletter.Letter) bool {
		return letter.Event != nil && PartitionOf(letter.Event.Stream, w.o.Partitions) == w.partition && w.o.Known.Check(letter.Event) == nil
	})
	if n > 0 {
		w.letters.Store(true)
	}
	return err
}

// skewed counts the letters that wait for a release that can read them. They all block their streams; where no stream is
// blocked it costs one read.
func (c *Control) skewed(ctx context.Context, source string) (int, error) {
	letters := deadletter.New(c.store, deadletter.Options{})
	for _, err := range letters.BlockedSequences(ctx, source) {
		if err != nil {
			return 0, err
		}
		return letters.Count(ctx, deadletter.Filter{Source: source, Reason: deadletter.Skew})
	}
	return 0, nil
}
