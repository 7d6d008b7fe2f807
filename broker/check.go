package broker

// Check reports why Publish would refuse the message without sending it: an ErrInvalid or ErrTooLarge.
func (b *Broker) Check(m Message) error { return b.limits.checkMessage(&m) }
