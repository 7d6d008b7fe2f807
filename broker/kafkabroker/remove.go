package kafkabroker

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"lexigram.dev/events/broker"
)

// RemoveGroup implements broker.Remover: it deletes the group's offsets of these topics, and with the last of them the
// group. Messages stay until the topic's retention is over. A group with members on a topic is refused.
func (b *Backend) RemoveGroup(ctx context.Context, g broker.Group) error {
	if err := b.check(ctx); err != nil {
		return err
	}
	fetched, err := b.admin.FetchOffsets(ctx, g.Name)
	if err == nil {
		err = fetched.Error()
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil
	}
	if err != nil {
		return translate(ctx, err)
	}
	of := map[string]bool{}
	for _, topic := range g.Topics {
		of[topic] = true
	}
	var (
		set    kadm.TopicsSet
		others int
	)
	fetched.Each(func(o kadm.OffsetResponse) {
		switch {
		case o.At < 0:
		case of[o.Topic]:
			set.Add(o.Topic, o.Partition)
		default:
			others++
		}
	})
	if len(set) > 0 {
		deleted, err := b.admin.DeleteOffsets(ctx, g.Name, set)
		if err == nil {
			err = deleted.Error()
		}
		if inUse(err) {
			return &kindError{broker.ErrRefused, fmt.Errorf("it has members: %w", err)}
		}
		if err != nil {
			return translate(ctx, err)
		}
	}
	if others > 0 {
		return nil
	}
	if _, err = b.admin.DeleteGroup(ctx, g.Name); inUse(err) || errors.Is(err, kerr.GroupIDNotFound) {
		return nil // it is another topic's now, or gone by itself
	}
	return translate(ctx, err)
}

func inUse(err error) bool {
	return errors.Is(err, kerr.NonEmptyGroup) || errors.Is(err, kerr.GroupSubscribedToTopic)
}
