package kafkabroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"lexigram.dev/events/broker"
)

// ensureTopics makes the topics that are missing, or finds that they are. It gives the reason for each that is not
// there in the end.
func (b *Backend) ensureTopics(ctx context.Context, topics ...string) map[string]error {
	var unknown []string
	for _, topic := range topics {
		if _, known := b.known.Load(topic); !known {
			unknown = append(unknown, topic)
		}
	}
	if unknown == nil {
		return nil
	}
	missing := map[string]error{}
	listed, err := b.admin.ListTopics(ctx, unknown...)
	if err != nil {
		for _, topic := range unknown {
			missing[topic] = translate(ctx, err)
		}
		return missing
	}
	var absent []string
	for _, topic := range unknown {
		detail, found := listed[topic]
		switch {
		case found && detail.Err == nil:
			b.known.Store(topic, true)
		case !found, errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
			absent = append(absent, topic)
		default:
			missing[topic] = translate(ctx, detail.Err)
		}
	}
	switch {
	case len(absent) == 0:
	case b.o.NoCreate:
		for _, topic := range absent {
			missing[topic] = &kindError{broker.ErrRefused, fmt.Errorf("topic %s does not exist, and topics are not to be created", topic)}
		}
	default:
		b.createTopics(ctx, absent, missing)
	}
	return missing
}

func (b *Backend) createTopics(ctx context.Context, topics []string, missing map[string]error) {
	config := map[string]*string{}
	for name, value := range b.o.TopicConfig {
		config[name] = &value
	}
	created, err := b.admin.CreateTopics(ctx, int32(b.o.Partitions), int16(b.o.Replication), config, topics...) //nolint:gosec // validated
	for _, topic := range topics {
		reason := err
		if err == nil {
			reason = created[topic].Err
			if message := created[topic].ErrMessage; reason != nil && message != "" {
				reason = fmt.Errorf("%w (%s)", reason, message)
			}
		}
		if reason != nil && !errors.Is(reason, kerr.TopicAlreadyExists) {
			missing[topic] = translate(ctx, fmt.Errorf("create topic %s: %w", topic, reason))
			continue
		}
		b.known.Store(topic, true)
	}
}

// details asks for topics that were ensured.
func (b *Backend) details(ctx context.Context, topics []string) (kadm.TopicDetails, error) {
	listed, err := b.admin.ListTopics(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	return listed, translate(ctx, err)
}

// patiently does something again for as long as the cluster says that it is not ready for it: a topic that was just
// created is not known to each broker at once, nor is who looks after a group in a cluster that was just started. The
// client does so where the whole of an answer says it, and not where a part does.
func patiently(ctx context.Context, do func() error) error {
	for begun := time.Now(); ; {
		err := do()
		var code *kerr.Error
		if !errors.As(err, &code) || !code.Retriable || time.Since(begun) > 30*time.Second {
			return err
		}
		if !pause(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// pause reports false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
