package membroker

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"lexigram.dev/events/broker"
)

// Publish implements broker.Backend. When one message finds no room, those behind it are not taken either.
func (b *Broker) Publish(ctx context.Context, messages []broker.Message) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range messages {
		if err := b.publish(ctx, &messages[i]); err != nil {
			failed := make([]error, len(messages))
			for j := i; j < len(messages); j++ {
				failed[j] = err
			}
			return failed
		}
	}
	return nil
}

// publish takes a message once each group has room for it. The lock is held, and let go while it waits.
func (b *Broker) publish(ctx context.Context, m *broker.Message) error {
	size := sizeOf(m)
	if err := b.waitForRoom(ctx, m.Topic, size); err != nil {
		return err
	}
	t := b.topic(m.Topic)
	if len(t.queues) == 0 && b.o.Retain == 0 {
		return nil
	}
	own := clone(m)
	b.last++
	for _, q := range t.queues {
		q.add(&own, b.last)
	}
	if b.o.Retain > 0 {
		t.retained = append(t.retained, &own)
		if excess := len(t.retained) - b.o.Retain; excess > 0 {
			clear(t.retained[:excess])
			t.retained = t.retained[excess:]
		}
	}
	return nil
}

func (b *Broker) waitForRoom(ctx context.Context, topic string, size int) error {
	var timeout <-chan time.Time
	for {
		if b.closed {
			return broker.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		full := b.fullGroup(topic, size)
		if full == "" {
			return nil
		}
		if timeout == nil {
			t := time.NewTimer(b.o.FullWait)
			defer t.Stop()
			timeout = t.C
		}
		space := b.space.wait()
		b.mu.Unlock()
		expired := false
		select {
		case <-space:
		case <-ctx.Done():
		case <-timeout:
			expired = true
		}
		b.mu.Lock()
		if expired {
			return fmt.Errorf("%w: group %s has not made room for %v", broker.ErrFull, full, b.o.FullWait)
		}
	}
}

// fullGroup names a group of the topic that has no room; "": all have.
func (b *Broker) fullGroup(topic string, size int) string {
	t := b.topics[topic]
	if t == nil {
		return ""
	}
	for name, q := range t.queues {
		if n := q.open.Len(); n > 0 && (n >= b.o.MaxMessages || q.bytes+size > b.o.MaxBytes) {
			return name
		}
	}
	return ""
}

func sizeOf(m *broker.Message) int {
	size := len(m.Body) + len(m.Key)
	for name, value := range m.Headers {
		size += len(name) + len(value)
	}
	return size
}

func clone(m *broker.Message) broker.Message {
	own := *m
	own.Headers = maps.Clone(m.Headers)
	own.Body = bytes.Clone(m.Body)
	return own
}
