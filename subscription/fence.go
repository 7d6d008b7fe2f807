package subscription

import (
	"context"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// fence writes the checkpoint of one partition on behalf of one owner.
type fence struct{}

func (f *fence) commit(ctx context.Context, position event.Position, ops []store.Op) error { return nil }
