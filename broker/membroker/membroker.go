package membroker

import (
	"container/list"
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"lexigram.dev/events/broker"
)

// Broker implements broker.Backend in memory, under one lock. It is safe for concurrent use.
type Broker struct {
	o Options

	mu      sync.Mutex
	topics  map[string]*topic
	streams map[*stream]bool
	pauses  map[*time.Timer]bool // of released messages
	last    uint64               // number of the newest message
	space   signal               // a queue has shrunk, or the broker is closed
	closed  bool
}

// Options are the settings of a Broker; the zero value works.
type Options struct {
	// MaxMessages bounds the messages of one topic that a group has not handled. Defaults to 100,000.
	MaxMessages int

	// MaxBytes bounds their bodies, keys and headers together. A single message always has room. Defaults to 256 MiB.
	MaxBytes int

	// FullWait is how long Publish waits for room before it gives broker.ErrFull. Defaults to 10 s.
	FullWait time.Duration

	// Retain is how many of its newest messages a topic keeps for groups that begin with the oldest (broker.Group's
	// FromStart). Defaults to 0: none.
	Retain int
}

// topic is where messages go: to a queue for each group, and to what is retained.
type topic struct {
	queues   map[string]*queue // by group
	retained []*broker.Message
}

// New makes an empty broker.
func New(o Options) *Broker {
	if o.MaxMessages == 0 {
		o.MaxMessages = 100_000
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 256 << 20
	}
	if o.FullWait == 0 {
		o.FullWait = 10 * time.Second
	}
	return &Broker{o: o, topics: map[string]*topic{}, streams: map[*stream]bool{}, pauses: map[*time.Timer]bool{}}
}

// Features implements broker.Backend.
func (b *Broker) Features() broker.Features {
	return broker.Features{Ordered: true, DeliveryCount: true, DelayedRedelivery: true, Replay: b.o.Retain > 0}
}

// Describe implements broker.Backend.
func (b *Broker) Describe(ctx context.Context) (broker.Description, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return broker.Description{}, broker.ErrClosed
	}
	return broker.Description{
		Broker: "memory", Version: runtime.Version(), Location: "this process",
		Durability: "none: messages are gone when the process ends",
	}, ctx.Err()
}

// Declare implements broker.Backend.
func (b *Broker) Declare(ctx context.Context, g broker.Group) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.declare(ctx, g)
	return err
}

// declare gives the queues of a group, new or known. The lock is held.
func (b *Broker) declare(ctx context.Context, g broker.Group) ([]*queue, error) {
	if b.closed {
		return nil, broker.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	queues := make([]*queue, len(g.Topics))
	for i, name := range g.Topics {
		t := b.topic(name)
		q := t.queues[g.Name]
		if q == nil {
			q = &queue{lanes: map[string]*lane{}, ready: list.New(), open: list.New(), members: map[*stream]bool{}}
			t.queues[g.Name] = q
			if g.FromStart {
				for _, m := range t.retained {
					b.last++
					q.add(m, b.last)
				}
			}
		}
		queues[i] = q
	}
	return queues, nil
}

func (b *Broker) topic(name string) *topic {
	t := b.topics[name]
	if t == nil {
		t = &topic{queues: map[string]*queue{}}
		b.topics[name] = t
	}
	return t
}

// Consume implements broker.Backend. The caller bounds the prefetch: a stream gives out no more than it is asked for.
func (b *Broker) Consume(ctx context.Context, g broker.Group, prefetch int) (broker.Stream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queues, err := b.declare(ctx, g)
	if err != nil {
		return nil, err
	}
	s := &stream{broker: b, queues: queues, prefetch: prefetch, ready: list.New(), held: map[*entry]bool{}}
	for _, q := range queues {
		q.members[s] = true
	}
	b.streams[s] = true
	return s, nil
}

// Backlog implements broker.Gauge.
func (b *Broker) Backlog(ctx context.Context, g broker.Group) (broker.Backlog, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return broker.Backlog{}, broker.ErrClosed
	}
	var backlog broker.Backlog
	for _, name := range g.Topics {
		t := b.topics[name]
		if t == nil || t.queues[g.Name] == nil {
			continue
		}
		q := t.queues[g.Name]
		backlog.Messages += int64(q.open.Len())
		if front := q.open.Front(); front != nil {
			if at := front.Value.(*entry).message.Time; backlog.Oldest.IsZero() || at.Before(backlog.Oldest) {
				backlog.Oldest = at
			}
		}
	}
	return backlog, ctx.Err()
}

// RemoveGroup implements broker.Remover.
func (b *Broker) RemoveGroup(ctx context.Context, g broker.Group) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return broker.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, name := range g.Topics {
		t := b.topics[name]
		if t == nil || t.queues[g.Name] == nil {
			continue
		}
		for s := range t.queues[g.Name].members {
			s.leave(fmt.Errorf("%w: the group was removed", broker.ErrUnavailable))
		}
		delete(t.queues, g.Name)
	}
	b.space.send()
	return nil
}

// Disconnect breaks every stream, as a lost connection to a server would: for tests of what happens then.
func (b *Broker) Disconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.streams {
		s.leave(fmt.Errorf("%w: disconnected", broker.ErrUnavailable))
	}
}

// Close implements broker.Backend.
func (b *Broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.streams {
		s.leave(broker.ErrClosed)
	}
	for t := range b.pauses {
		t.Stop()
	}
	clear(b.topics)
	b.space.send()
	return nil
}

// signal wakes all that wait. It is guarded by the broker's lock.
type signal struct{ ch chan struct{} }

// wait gives a channel that the next send closes.
func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) send() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
