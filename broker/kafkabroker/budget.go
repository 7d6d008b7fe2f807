package kafkabroker

import (
	"context"
	"sync"
)

// budget bounds the bytes that are on their way to the broker.
type budget struct {
	mu    sync.Mutex
	used  int
	limit int
	room  chan struct{} // closed when some became free; nil: nobody waits
}

// take waits until there is room for n bytes, and reports false when something else ends first. A single message always
// has room.
func (b *budget) take(ctx, patience context.Context, closing <-chan struct{}, n int) bool {
	for {
		b.mu.Lock()
		if b.used == 0 || b.used+n <= b.limit {
			b.used += n
			b.mu.Unlock()
			return true
		}
		if b.room == nil {
			b.room = make(chan struct{})
		}
		room := b.room
		b.mu.Unlock()
		select {
		case <-room:
		case <-closing:
			return false
		case <-patience.Done():
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (b *budget) free(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}
