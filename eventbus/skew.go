package eventbus

import (
	"context"
	"errors"
	"sync"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/internal/cloudevents"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
)

// errBehind: the message waits behind one of the same key that another release has written.
var errBehind = errors.New("waits behind a message of the same key that this release cannot read")

// behind is the keys of which messages are parked that another release wrote: later ones wait behind them, so that the
// order of a key is kept. Other processes of the group park too; what they did is seen within the bus's PollInterval, and
// before the first message.
type behind struct {
	mu    sync.Mutex
	keys  map[string]bool
	added map[string]bool // since the last load began
}

func (b *behind) holds(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.keys) > 0 && b.keys[key]
}

func (b *behind) add(key string) {
	if key == "" { // no order to keep
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, keys := range []*map[string]bool{&b.keys, &b.added} {
		if *keys == nil {
			*keys = map[string]bool{}
		}
		(*keys)[key] = true
	}
}

// load takes the keys from the store, with those that were added meanwhile.
func (b *behind) load(ctx context.Context, h *handler) error {
	b.mu.Lock()
	b.added = nil
	b.mu.Unlock()
	found := map[string]bool{}
	for key, err := range h.bus.letters.BlockedSequences(ctx, h.source()) {
		if err != nil {
			return err
		}
		found[key] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.added {
		found[key] = true
	}
	b.keys = found
	return nil
}

// order puts a letter among those of its key, where that is to be kept in order.
func (h *handler) order(letter *deadletter.Letter, skew schema.Skew, cause error) {
	switch key := letter.Message.Key; {
	case skew != schema.NoSkew:
		letter.Reason, letter.Sequence = deadletter.Skew, key
	case errors.Is(cause, errBehind):
		letter.State, letter.Sequence, letter.Error, letter.Attempts = deadletter.StateWaiting, key, "", 0
	}
}

func (h *handler) alert(ctx context.Context, d broker.Delivery, skew schema.Skew, cause error) {
	_, fault := schema.SkewOf(cause)
	tell := observe.Skew{Consumer: h.source(), Reason: string(skew), Type: fault.Type, SchemaVersion: fault.SchemaVersion, EventID: d.ID, Parked: true, Err: cause}
	if e, err := cloudevents.Decode(d.Message); err == nil {
		tell.SchemaVersion = e.Event.SchemaVersion
		if metadata, err := e.Event.Metadata(); err == nil {
			tell.Tenant = metadata.Tenant
		}
	}
	h.bus.o.Hooks.Skew(ctx, tell)
}
