package drivers

import "lexigram.dev/events/broker"

// Brokers gives the drivers of all brokers that are reached by URL.
func Brokers() []broker.Driver {
	return []broker.Driver{}
}
