package rabbitbroker

import (
	"context"
	"math/rand/v2"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// balance gives up partitions now and then while this member works on more than its share, so that members that came
// later have something to do. The server knows no such thing: the active consumer of a queue stays so until it leaves.
func (s *stream) balance() {
	ticker := time.NewTicker(s.broker.o.Rebalance)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.done:
			return
		}
		for _, topic := range s.group.Topics {
			if s.busy(topic) > 1 {
				s.share(topic)
			}
		}
	}
}

// share leaves the partitions of a topic that are more than this member's share. Each member consumes from the queue
// without keys, so that its consumers are the members.
func (s *stream) share(topic string) {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	members := 0
	err := s.broker.withChannel(ctx, s.broker.consuming, func(_ *connection, ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(s.broker.queueName(s.group.Name, topic, shared), true, false, false, false, nil)
		members = q.Consumers
		return err
	})
	if err != nil || members < 2 {
		return // a stream that is broken finds out by itself
	}
	fair := (s.broker.o.Partitions + members - 1) / members
	s.mu.Lock()
	defer s.mu.Unlock()
	excess := s.busyLocked(topic) - fair
	for _, i := range rand.Perm(len(s.sources)) {
		src := s.sources[i]
		if excess <= 0 || s.gone != nil {
			break
		}
		if src.topic == topic && !src.shared && src.active && src.state == joined {
			_ = src.leave() // of a partition it sends nothing
			excess--
		}
	}
	s.settle()
}

// busy counts the partitions of a topic that are this member's.
func (s *stream) busy(topic string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busyLocked(topic)
}

func (s *stream) busyLocked(topic string) (n int) {
	for _, src := range s.sources {
		if src.topic == topic && !src.shared && src.active && src.state == joined {
			n++
		}
	}
	return n
}
