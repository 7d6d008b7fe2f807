package kafkabroker

import (
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"
)

// spread chooses partitions: by the key's hash, as Kafka's own client does, and in turn for messages without one, since
// a message waits for those before it in its partition.
type spread struct{}

// ForTopic implements kgo.Partitioner.
func (spread) ForTopic(topic string) kgo.TopicPartitioner {
	return &topicSpread{keyed: kgo.StickyKeyPartitioner(nil).ForTopic(topic), next: rand.IntN(1 << 16)}
}

type topicSpread struct {
	keyed kgo.TopicPartitioner
	next  int
}

// RequiresConsistency implements kgo.TopicPartitioner.
func (s *topicSpread) RequiresConsistency(r *kgo.Record) bool { return r.Key != nil }

// Partition implements kgo.TopicPartitioner.
func (s *topicSpread) Partition(r *kgo.Record, n int) int {
	if r.Key != nil {
		return s.keyed.Partition(r, n)
	}
	s.next++
	return s.next % n
}
