package drivers

import (
	"context"
	"strings"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/broker/kafkabroker/kafkabaseline"
	"lexigram.dev/events/broker/natsbroker/natsbaseline"
	"lexigram.dev/events/broker/rabbitbroker/rabbitbaseline"
	redisbrokerbaseline "lexigram.dev/events/broker/redisbroker/redisbaseline"
)

// OpenBrokerBaseline gives what the broker that the URL names is measured against: the bare client with topics of its own.
// The memory broker has none, and gets nil. The caller closes it.
func OpenBrokerBaseline(ctx context.Context, brokerURL string) (admin.BrokerBaseline, error) {
	scheme, _, _ := strings.Cut(brokerURL, ":")
	switch scheme {
	case "redis", "rediss":
		b, err := redisbrokerbaseline.Open(ctx, brokerURL)
		if err != nil {
			return nil, err
		}
		return b, nil
	case "amqp", "amqps":
		b, err := rabbitbaseline.Open(ctx, brokerURL)
		if err != nil {
			return nil, err
		}
		return b, nil
	case "kafka", "kafkas":
		b, err := kafkabaseline.Open(ctx, brokerURL)
		if err != nil {
			return nil, err
		}
		return b, nil
	case "nats", "tls+nats":
		b, err := natsbaseline.Open(ctx, brokerURL)
		if err != nil {
			return nil, err
		}
		return b, nil
	default:
		return nil, nil
	}
}
