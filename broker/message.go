package broker

import "time"

// Message is what is sent. A consumer's copy is its own.
type Message struct {
	// ID tells messages apart for ever; publish a message again with the same id after an unknown outcome. Required.
	ID string

	// Topic is where it goes: letters, digits, "-" and "_", in parts divided by ".". Required.
	Topic string

	// Key names what keeps its order: messages of one topic and key are handled one after the other as they were
	// published. "": the message stands for itself.
	Key string

	// Headers are for whoever handles it. Names are of lower-case letters, digits, "-", "_" and "."; values are text
	// without control characters.
	Headers map[string]string

	Body []byte

	// Time is when it was published, to the millisecond. Defaults to now.
	Time time.Time
}

// Delivery is a message on its way to a handler.
type Delivery struct {
	Message

	// Attempt is which try this is, from 1. Tries are counted from when this process got the message or, where the
	// broker redelivers (see Redelivery), from when it was published.
	Attempt int

	// Deliveries is how often the broker has given the message out, this time included. 0 where it does not count.
	Deliveries int
}
