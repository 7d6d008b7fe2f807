package drivers

import (
	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/kafkabroker"
	"lexigram.dev/events/broker/membroker"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/broker/rabbitbroker"
	"lexigram.dev/events/broker/redisbroker"
)

// Brokers gives the drivers of all brokers that are reached by URL.
func Brokers() []broker.Driver {
	return []broker.Driver{
		membroker.Driver(),
		redisbroker.Driver(),
		rabbitbroker.Driver(),
		kafkabroker.Driver(),
		natsbroker.Driver(),
	}
}
