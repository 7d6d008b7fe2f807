package kafkabroker

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"lexigram.dev/events/broker"
)

// Describe implements broker.Backend.
func (b *Backend) Describe(ctx context.Context) (broker.Description, error) {
	if err := b.check(ctx); err != nil {
		return broker.Description{}, err
	}
	versions, err := b.admin.ApiVersions(ctx)
	if err != nil {
		return broker.Description{}, translate(ctx, err)
	}
	version := "unknown"
	for _, v := range versions {
		version = v.VersionGuess()
		break
	}
	replicas, err := b.replicas(ctx)
	if err != nil {
		return broker.Description{}, translate(ctx, err)
	}
	return broker.Description{
		Broker: "kafka", Version: version, Location: b.location(), Durability: durability(b.brokerConfig(ctx), b.o.Replication, replicas),
	}, nil
}

// location names the hosts. They hold no credentials: ParseURL has cut those off.
func (b *Backend) location() string { return strings.Join(b.o.Brokers, ",") }

// brokerConfig gives the settings of one broker; none where the user may not ask.
func (b *Backend) brokerConfig(ctx context.Context) map[string]string {
	brokers, err := b.admin.ListBrokers(ctx)
	if err != nil || len(brokers) == 0 {
		return nil
	}
	described, err := b.admin.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	if err != nil {
		return nil
	}
	config := map[string]string{}
	for _, resource := range described {
		for _, c := range resource.Configs {
			config[c.Key] = c.MaybeValue()
		}
	}
	return config
}

// replicas finds the lowest replication factor of the topics that were used; 0: there are none.
func (b *Backend) replicas(ctx context.Context) (lowest int, err error) {
	var topics []string
	b.known.Range(func(name, _ any) bool {
		topics = append(topics, name.(string))
		return true
	})
	if topics == nil {
		return 0, nil
	}
	listed, err := b.admin.ListTopics(ctx, topics...)
	if err != nil {
		return 0, err
	}
	listed.EachPartition(func(p kadm.PartitionDetail) {
		if lowest == 0 || len(p.Replicas) < lowest {
			lowest = len(p.Replicas)
		}
	})
	return lowest, nil
}

// durability says what a confirmed message survives, with what is known of the topics.
func durability(config map[string]string, created, used int) string {
	factor := used
	if factor == 0 {
		factor = created
	}
	if factor < 1 {
		factor, _ = strconv.Atoi(config["default.replication.factor"])
	}
	inSync, err := strconv.Atoi(config["min.insync.replicas"])
	if factor < 1 || err != nil {
		return "confirmed by all replicas in sync; how many those must be is not known: the user may not ask for the brokers' settings"
	}
	text := fmt.Sprintf("confirmed by all replicas in sync, at least %d of %d", min(inSync, factor), factor)
	switch {
	case factor == 1:
		text += "; WARNING: with one replica, confirmed messages are lost with the broker's disk, or when its machine fails before it has written them there"
	case inSync < 2:
		text += "; WARNING: with min.insync.replicas 1, messages may be confirmed by one broker alone, and are lost with it"
	}
	return text
}

// Backlog implements broker.Gauge: the distance of the group's offsets to the ends. It counts messages that are handled
// behind one that is not, and what is no message, such as the marks of transactions; the oldest is not known.
func (b *Backend) Backlog(ctx context.Context, g broker.Group) (broker.Backlog, error) {
	if err := b.check(ctx); err != nil {
		return broker.Backlog{}, err
	}
	fetched, err := b.admin.FetchOffsets(ctx, g.Name)
	if err == nil {
		err = fetched.Error()
	}
	if err != nil {
		return broker.Backlog{}, translate(ctx, err)
	}
	ends, err := b.admin.ListEndOffsets(ctx, g.Topics...)
	if err != nil {
		return broker.Backlog{}, translate(ctx, err)
	}
	var backlog broker.Backlog
	for _, topic := range g.Topics {
		for number, end := range ends[topic] {
			if at, ok := fetched.Lookup(topic, number); ok && at.At >= 0 && end.Err == nil {
				backlog.Messages += max(0, end.Offset-at.At)
			}
		}
	}
	return backlog, nil
}
