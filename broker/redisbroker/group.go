package redisbroker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"lexigram.dev/events/broker"
)

// Declare implements broker.Backend.
func (b *Backend) Declare(ctx context.Context, g broker.Group) error {
	_, err := b.declare(ctx, g)
	return err
}

// declare makes a group's topics and the group on them, and gives the numbers of their partitions.
func (b *Backend) declare(ctx context.Context, g broker.Group) ([]int, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	begin := "$"
	if g.FromStart {
		begin = "0"
	}
	counts := make([]int, len(g.Topics))
	for i, topic := range g.Topics {
		n, err := b.partitions(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, err)
		}
		if _, err := b.run(ctx, b.scripts.declare, b.keysOf(topic), g.Name, begin); err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, err)
		}
		counts[i] = n
	}
	return counts, nil
}

// RemoveGroup forgets a group and what it has not handled: one that nobody consumes any more keeps its topics from being
// trimmed. Members that it has lose their streams, and declare it again when they run on. Removing what is not there does
// nothing.
func (b *Backend) RemoveGroup(ctx context.Context, g broker.Group) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	for _, topic := range g.Topics {
		if _, err := b.run(ctx, b.scripts.remove, b.keysOf(topic), g.Name); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	return nil
}

// Backlog implements broker.Gauge. A group that was not declared has none.
func (b *Backend) Backlog(ctx context.Context, g broker.Group) (broker.Backlog, error) {
	var total broker.Backlog
	if err := b.usable(ctx); err != nil {
		return total, err
	}
	for _, topic := range g.Topics {
		k := b.keysOf(topic)
		result, err := b.run(ctx, b.scripts.backlog, k, g.Name)
		if err != nil {
			return broker.Backlog{}, err
		}
		streams, _ := result.([]any)
		for _, one := range streams {
			if err := b.addBacklog(ctx, k, one, &total); err != nil {
				return broker.Backlog{}, err
			}
		}
	}
	return total, nil
}

// addBacklog adds what backlog.lua tells of a stream.
func (b *Backend) addBacklog(ctx context.Context, k keys, one any, total *broker.Backlog) error {
	facts, ok := one.([]any)
	if !ok || len(facts) != 5 {
		return errReply("a backlog of %v", one)
	}
	var (
		number, _  = facts[0].(int64)
		pending, _ = facts[1].(int64)
		unread, _  = facts[2].(int64)
		last, _    = facts[3].(string)
		at, _      = facts[4].(string)
	)
	if unread < 0 {
		n, err := b.count(ctx, k, int(number), last)
		if err != nil {
			return err
		}
		unread = n
	}
	total.Messages += pending + unread
	if ms, err := strconv.ParseInt(at, 10, 64); err == nil {
		if oldest := time.UnixMilli(ms).UTC(); total.Oldest.IsZero() || oldest.Before(total.Oldest) {
			total.Oldest = oldest
		}
	}
	return nil
}

// count counts the entries of a stream after an id, where the server has not counted them.
func (b *Backend) count(ctx context.Context, k keys, number int, last string) (total int64, err error) {
	for {
		result, err := b.run(ctx, b.scripts.count, k, number, last)
		if err != nil {
			return 0, err
		}
		page, ok := result.([]any)
		if !ok || len(page) != 2 {
			return 0, errReply("a count of %v", result)
		}
		n, _ := page[0].(int64)
		if n == 0 {
			return total, nil
		}
		total += n
		last, _ = page[1].(string)
	}
}
