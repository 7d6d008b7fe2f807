package kafkabroker

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"

	"lexigram.dev/events/checkup"
)

// Diagnose implements broker.Diagnoser. Kafka tells its clients nothing of its clock.
func (b *Backend) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	d, err := b.Describe(ctx)
	if err != nil {
		return nil, err
	}
	brokers, err := b.admin.ListBrokers(ctx)
	if err != nil {
		return nil, translate(ctx, err)
	}
	topics, err := b.admin.ListTopics(ctx)
	if err != nil {
		return nil, translate(ctx, err)
	}
	config := b.brokerConfig(ctx)
	return []checkup.Finding{
		checkup.Good("version", "Kafka %s, brokers: %d", d.Version, len(brokers)),
		b.durable(config, len(brokers), d.Durability), election(config), retention(config), inSync(topics),
	}, nil
}

func (b *Backend) durable(config map[string]string, brokers int, text string) checkup.Finding {
	f := checkup.Good("durability", "%s", text)
	if config == nil {
		f.Level, f.Cure = checkup.Warn, "grant the user DescribeConfigs on the cluster, so that this can be checked"
		return f
	}
	factor := b.o.Replication
	if factor < 1 {
		factor, _ = strconv.Atoi(config["default.replication.factor"])
	}
	minimum, _ := strconv.Atoi(config["min.insync.replicas"])
	switch {
	case brokers < 3:
		f.Level, f.Cure = checkup.Warn, "use 3 brokers, replication factor 3 and min.insync.replicas 2"
	case factor < 2 || minimum < 2:
		f.Level, f.Cure = checkup.Warn, "set replication=3 in the URL (or default.replication.factor) and min.insync.replicas 2; alter the topics that are there"
	}
	return f
}

func election(config map[string]string) checkup.Finding {
	if config["unclean.leader.election.enable"] == "true" {
		return checkup.Finding{
			Check: "leader election", Level: checkup.Fail, Found: "unclean.leader.election.enable is on: a replica that lacks confirmed messages may become the leader",
			Cure: "set unclean.leader.election.enable=false",
		}
	}
	return checkup.Good("leader election", "replicas in sync alone become leaders")
}

// retention compares how long offsets of a group without members are kept with a long weekend.
func retention(config map[string]string) checkup.Finding {
	const week = 7 * 24 * 60
	minutes, err := strconv.Atoi(config["offsets.retention.minutes"])
	if err != nil {
		return checkup.Good("offsets", "how long they are kept is not told")
	}
	f := checkup.Good("offsets", "of a group without members are kept for %d days", minutes/(24*60))
	if minutes < week {
		f.Level, f.Cure = checkup.Warn, "set offsets.retention.minutes to a week or more: a group that was away for longer begins anew, and misses or repeats messages"
	}
	return f
}

// inSync tells whether each partition has its leader and its replicas.
func inSync(topics kadm.TopicDetails) checkup.Finding {
	var partitions, headless, behind int
	topics.EachPartition(func(p kadm.PartitionDetail) {
		partitions++
		switch {
		case p.Leader < 0:
			headless++
		case len(p.ISR) < len(p.Replicas):
			behind++
		}
	})
	f := checkup.Good("replicas", "all in sync: %d partitions of %d topics", partitions, len(topics))
	switch {
	case headless > 0:
		f.Level, f.Found, f.Cure = checkup.Fail, fmt.Sprintf("%d of %d partitions have no leader", headless, partitions), "start the brokers that hold them"
	case behind > 0:
		f.Level, f.Found, f.Cure = checkup.Warn, fmt.Sprintf("%d of %d partitions lack replicas in sync", behind, partitions), "start the brokers that are away, or give them time to catch up"
	}
	return f
}
