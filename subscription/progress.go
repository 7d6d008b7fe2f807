package subscription

import (
	"sync"

	"lexigram.dev/events/event"
)

// progress is how far this process has handled the partitions that it owns. It is safe for concurrent use.
type progress struct {
	mu      sync.Mutex
	places  map[int]event.Position // of the owned partitions
	changed chan struct{}          // closed at the next change; nil while nobody waits
}

func newProgress() *progress { return &progress{places: map[int]event.Position{}} }

func (p *progress) set(partition int, position event.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places[partition] = position
	p.tell()
}

func (p *progress) drop(partition int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.places, partition)
	p.tell()
}

func (p *progress) tell() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// missing gives those of n partitions that have not reached a position as far as this process knows, whether each is
// its own, and a channel that is closed at the next change.
func (p *progress) missing(n int, position event.Position) (own, others []int, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range n {
		if at, owned := p.places[i]; !owned {
			others = append(others, i)
		} else if at < position {
			own = append(own, i)
		}
	}
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return own, others, p.changed
}
