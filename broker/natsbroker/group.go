package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
)

// third is the time limit of each step of a lease: how long the server waits for an answer before it delivers again, how
// long a request for messages stands, and how long a member trusts its last renewal. Three of them one after the other
// are over before the lease is, so that who takes over from a dead member finds nothing under way.
func third(lease time.Duration) time.Duration { return lease * 3 / 10 }

// Declare implements broker.Backend: a durable consumer for each partition of each topic, and one for messages without a
// key.
func (b *Backend) Declare(ctx context.Context, g broker.Group) error {
	var (
		creating sync.WaitGroup
		mu       sync.Mutex
		first    error
	)
	for _, topic := range g.Topics {
		for p := anyPartition; p < b.partitions; p++ {
			creating.Go(func() {
				if err := b.declare(ctx, g, topic, p); err != nil {
					mu.Lock()
					defer mu.Unlock()
					if first == nil {
						first = fmt.Errorf("topic %s: %w", topic, err)
					}
				}
			})
		}
	}
	creating.Wait()
	return first
}

func (b *Backend) declare(ctx context.Context, g broker.Group, topic string, partition int) error {
	config := jetstream.ConsumerConfig{
		Durable:       consumerName(g.Name, topic, partition),
		Description:   fmt.Sprintf("group %s, topic %s, partition %s", g.Name, topic, partitionName(partition)),
		FilterSubject: subject(b.options.Prefix, topic, partition),
		DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckExplicitPolicy, AckWait: third(b.lease),
		MaxDeliver: -1, MaxAckPending: -1, // each member's prefetch is the bound
	}
	if g.FromStart || b.retention == jetstream.WorkQueuePolicy {
		config.DeliverPolicy = jetstream.DeliverAllPolicy
	}
	if b.options.MaxDeliver > 0 {
		config.MaxDeliver = b.options.MaxDeliver
	}
	return b.call(ctx, "CONSUMER.CREATE."+b.options.Stream+"."+config.Durable, func(ctx context.Context) error {
		_, err := b.js.CreateConsumer(ctx, b.options.Stream, config)
		var answer *jetstream.APIError
		if errors.As(err, &answer) && answer.ErrorCode == jetstream.JSErrCodeConsumerExists {
			return nil // declared before, perhaps with other options: it stays as it is
		}
		return err
	})
}

// RemoveGroup forgets a group, and with it what it has not handled of these topics.
func (b *Backend) RemoveGroup(ctx context.Context, g broker.Group) error {
	for _, topic := range g.Topics {
		for p := anyPartition; p < b.partitions; p++ {
			name := consumerName(g.Name, topic, p)
			err := b.call(ctx, "CONSUMER.DELETE", func(ctx context.Context) error {
				err := b.js.DeleteConsumer(ctx, b.options.Stream, name)
				if errors.Is(err, jetstream.ErrConsumerNotFound) {
					return nil
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("topic %s: %w", topic, err)
			}
		}
	}
	return nil
}

// Backlog implements broker.Gauge.
func (b *Backend) Backlog(ctx context.Context, g broker.Group) (broker.Backlog, error) {
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		sum    broker.Backlog
		first  error
	)
	for _, topic := range g.Topics {
		for p := anyPartition; p < b.partitions; p++ {
			asking.Go(func() {
				part, err := b.backlogOf(ctx, g.Name, topic, p)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					first = err
					return
				}
				sum.Messages += part.Messages
				if sum.Oldest.IsZero() || !part.Oldest.IsZero() && part.Oldest.Before(sum.Oldest) {
					sum.Oldest = part.Oldest
				}
			})
		}
	}
	asking.Wait()
	if first != nil {
		return broker.Backlog{}, first
	}
	return sum, nil
}

func (b *Backend) backlogOf(ctx context.Context, group, topic string, partition int) (broker.Backlog, error) {
	info, err := b.settledInfo(ctx, consumerName(group, topic, partition))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return broker.Backlog{}, nil // not declared: it has nothing to do
	}
	if err != nil {
		return broker.Backlog{}, err
	}
	backlog := broker.Backlog{Messages: int64(info.NumPending) + int64(info.NumAckPending)} //nolint:gosec // G115: a count of messages
	if backlog.Messages == 0 {
		return backlog, nil
	}
	err = b.call(ctx, "GET."+b.options.Stream, func(ctx context.Context) error {
		raw, err := b.stream.GetMsg(ctx, info.AckFloor.Stream+1, jetstream.WithGetMsgSubject(info.Config.FilterSubject))
		if err != nil {
			return err
		}
		backlog.Oldest = timeOf(raw)
		return nil
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) { // handled meanwhile
		err = nil
	}
	return backlog, err
}

// settledInfo is what a consumer says once it has heard of what was published: the stream tells its consumers of messages
// a moment after it has confirmed them. So it is asked until it says the same twice, and does not say that it has nothing
// while the stream has; a few times at most, since there may be a steady flow.
func (b *Backend) settledInfo(ctx context.Context, name string) (*jetstream.ConsumerInfo, error) {
	const patience = 32 * time.Millisecond
	var before *jetstream.ConsumerInfo
	for pause := time.Millisecond; ; pause *= 2 {
		info, err := b.consumerInfo(ctx, name)
		if err != nil || pause > patience {
			return info, err
		}
		if before != nil && before.NumPending == info.NumPending && before.NumAckPending == info.NumAckPending {
			if behind, err := b.isBehind(ctx, info); err != nil || !behind {
				return info, err
			}
		}
		before = info
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// isBehind reports whether a consumer says that nothing waits, although the stream has something that it has not delivered.
func (b *Backend) isBehind(ctx context.Context, info *jetstream.ConsumerInfo) (behind bool, err error) {
	if info.NumPending > 0 {
		return false, nil
	}
	err = b.call(ctx, "GET."+b.options.Stream, func(ctx context.Context) error {
		last, err := b.stream.GetLastMsgForSubject(ctx, info.Config.FilterSubject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		behind = err == nil && last.Sequence > info.Delivered.Stream
		return err
	})
	return behind, err
}

func (b *Backend) consumerInfo(ctx context.Context, name string) (*jetstream.ConsumerInfo, error) {
	var info *jetstream.ConsumerInfo
	err := b.call(ctx, "CONSUMER.INFO."+b.options.Stream+"."+name, func(ctx context.Context) error {
		c, err := b.js.Consumer(ctx, b.options.Stream, name)
		if err == nil {
			info = c.CachedInfo()
		}
		return err
	})
	return info, err
}
