package kafkabroker

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"lexigram.dev/events/broker"
)

// Declare implements broker.Backend: it commits, for each topic of which the group has no offsets, where the group
// begins. It asks for the ends first and for the offsets then. So when two declare a group at once, whoever commits
// later had looked at ends that are no later than the other's return: the group may get what was published just before,
// but misses nothing.
func (b *Backend) Declare(ctx context.Context, g broker.Group) error {
	if err := b.check(ctx); err != nil {
		return err
	}
	for _, err := range b.ensureTopics(ctx, g.Topics...) {
		return err
	}
	return patiently(ctx, func() error { return b.declare(ctx, g) })
}

func (b *Backend) declare(ctx context.Context, g broker.Group) error {
	topics, err := b.details(ctx, g.Topics)
	if err != nil {
		return err
	}
	list := b.admin.ListEndOffsets
	if g.FromStart {
		list = b.admin.ListStartOffsets
	}
	begin, err := list(ctx, g.Topics...)
	if err == nil {
		err = begin.Error()
	}
	if err != nil {
		return translate(ctx, err)
	}
	for byMember := false; ; byMember = true {
		missing, err := b.undeclared(ctx, g, begin.Offsets())
		if err != nil || len(missing) == 0 {
			return err
		}
		if byMember {
			return b.commitAsMember(ctx, g.Name, missing, topics)
		}
		committed, err := b.admin.CommitOffsets(ctx, g.Name, missing)
		if err == nil {
			err = committed.Error()
		}
		// A group with members takes offsets from members only. They may be of one that has declared it just now.
		if !fromOutside(err) {
			return translate(ctx, err)
		}
	}
}

func fromOutside(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.RebalanceInProgress)
}

// undeclared keeps the offsets of those topics of which the group has none. A partition without an offset, of a topic
// with some, was added to the topic later: the group reads it from its start.
func (b *Backend) undeclared(ctx context.Context, g broker.Group, begin kadm.Offsets) (kadm.Offsets, error) {
	fetched, err := b.admin.FetchOffsets(ctx, g.Name)
	if err == nil {
		err = fetched.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, translate(ctx, err)
	}
	declared := map[string]bool{}
	fetched.Each(func(o kadm.OffsetResponse) {
		if o.At >= 0 {
			declared[o.Topic] = true
		}
	})
	begin.DeleteFunc(func(o kadm.Offset) bool { return declared[o.Topic] })
	for topic, partitions := range begin {
		if len(partitions) == 0 {
			delete(begin, topic)
		}
	}
	return begin, nil
}

// commitAsMember commits offsets for a group that has members: it becomes one of them for a moment. It wants the
// topics alone that are new to the group, so it takes nothing away from the others.
func (b *Backend) commitAsMember(ctx context.Context, group string, offsets kadm.Offsets, topics kadm.TopicDetails) error {
	names := make([]string, 0, len(offsets))
	for topic := range offsets {
		names = append(names, topic)
	}
	var (
		joined = make(chan struct{}, 1)
		signal = func(context.Context, *kgo.Client, map[string][]int32) {
			select {
			case joined <- struct{}{}:
			default:
			}
		}
	)
	client, err := b.newClient(
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(names...), kgo.DisableAutoCommit(), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(b.o.SessionTimeout), kgo.HeartbeatInterval(b.o.SessionTimeout/15),
		kgo.RebalanceTimeout(b.o.RevokeWait+30*time.Second), kgo.OnPartitionsAssigned(signal),
	)
	if err != nil {
		return translate(ctx, err)
	}
	defer closeClient(client)
	select {
	case <-joined:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.closing:
		return broker.ErrClosed
	}
	return commit(ctx, client, group, "", func() []commitment {
		var all []commitment
		offsets.Each(func(o kadm.Offset) {
			all = append(all, commitment{topic: o.Topic, id: topics[o.Topic].ID, partition: o.Partition, offset: o.At, epoch: o.LeaderEpoch})
		})
		return all
	})
}

// commitment is an offset to commit.
type commitment struct {
	topic     string
	id        kadm.TopicID
	partition int32
	offset    int64
	epoch     int32
}

// commit commits offsets as the member that the client is, again and again while the group is being balanced: what
// there is to commit is asked for each time, and may be nothing in the end. It asks the broker itself, since the client
// lets commits wait for the whole of a rebalance, and the broker does not.
func commit(ctx context.Context, client *kgo.Client, group, instance string, commitments func() []commitment) error {
	for {
		all := commitments()
		if len(all) == 0 {
			return nil
		}
		err := commitOnce(ctx, client, group, instance, all)
		if !fromOutside(err) {
			return translate(ctx, err)
		}
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func commitOnce(ctx context.Context, client *kgo.Client, group, instance string, all []commitment) error {
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group = group
	request.MemberID, request.Generation = client.GroupMetadata()
	if instance != "" {
		request.InstanceID = &instance
	}
	index := map[string]int{}
	for _, c := range all {
		i, known := index[c.topic]
		if !known {
			topic := kmsg.NewOffsetCommitRequestTopic()
			topic.Topic, topic.TopicID = c.topic, c.id
			i = len(request.Topics)
			index[c.topic] = i
			request.Topics = append(request.Topics, topic)
		}
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset, partition.LeaderEpoch = c.partition, c.offset, c.epoch
		request.Topics[i].Partitions = append(request.Topics[i].Partitions, partition)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, topic := range response.Topics {
		for _, partition := range topic.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}
