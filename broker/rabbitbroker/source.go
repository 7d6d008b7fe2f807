package rabbitbroker

import (
	amqp "github.com/rabbitmq/amqp091-go"
)

// source is a queue that a stream consumes from, over a channel of its own.
//
// The queue of a partition has one active consumer, the member that came first; the others wait in line. To pass it on
// without breaking the order of a key, a member first answers what is in the hands of its receiver, and then closes the
// channel: in one step the server puts back what the member has prefetched, in its order and before all else, and turns to
// the next member. (Giving messages back one by one would have them delivered again to the same member, and in 3.10 a
// negative acknowledgement of more than 32 messages at once puts them back in any order.)
//
// The queue of messages without a key has no order to keep: it is shared, and messages go back at once.
type source struct {
	stream *stream
	topic  string
	queue  string
	shared bool

	// The stream's lock guards these.
	state   state
	channel *amqp.Channel
	spell   int  // counts the times it was joined and left
	active  bool // something has come since it was joined: it is this member's turn
	held    int  // given out, and not answered
	acks    acks
}

type state uint8

const (
	idle     state = iota // not consumed from
	joining               // it is being asked for
	joined                // consumed from
	leaving               // gives out no more; what is in the receiver's hands is awaited
	retiring              // the channel is being closed
)

// join consumes from the queue, unless it does so already.
func (src *source) join() error {
	s := src.stream
	s.mu.Lock()
	if src.state != idle {
		s.mu.Unlock()
		return nil
	}
	src.state = joining
	s.mu.Unlock()
	ch, closes, deliveries, err := src.consume()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = s.gone // it was closed meanwhile
	}
	if err != nil {
		src.state = idle
		if ch != nil {
			s.broker.background(func() { _ = ch.Close() })
		}
		return err
	}
	src.spell++
	spell := src.spell
	src.channel, src.state, src.active, src.acks = ch, joined, false, acks{}
	s.forwarders.Go(func() { src.forward(spell, deliveries, closes) })
	return nil
}

// consume opens a channel, and consumes from the queue.
func (src *source) consume() (*amqp.Channel, <-chan *amqp.Error, <-chan amqp.Delivery, error) {
	ch, err := src.stream.conn.Channel()
	if err != nil {
		return nil, nil, nil, err
	}
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Qos(src.stream.qos(), 0, false); err != nil {
		return ch, nil, nil, err
	}
	deliveries, err := ch.Consume(src.queue, consumerTag, false, false, false, false, nil)
	return ch, closes, deliveries, err
}

// consumerTag names the one consumer of a channel.
const consumerTag = "lexigram"

// forward brings what comes to the stream, until the channel ends.
func (src *source) forward(spell int, deliveries <-chan amqp.Delivery, closes <-chan *amqp.Error) {
	s := src.stream
	for d := range deliveries {
		s.mu.Lock()
		switch {
		case src.spell != spell || s.gone != nil: // it goes back with the channel
		case src.state == joined:
			src.active = true
			s.ready = append(s.ready, &delivery{source: src, tag: d.DeliveryTag, amqp: d})
			s.wake()
		case src.shared:
			_ = d.Nack(false, true) // or it goes back with the channel
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if src.spell != spell || src.state != joined {
		return
	}
	why := unavailable("queue %s: the connection was lost, or the queue was removed", src.queue)
	select {
	case said := <-closes:
		if said != nil {
			why = classify(said)
		}
	default:
	}
	if s.broker.isClosed() {
		return // Close says so
	}
	_ = s.fail(why)
}

// ack acknowledges those of the deliveries, which are in their order, that are of this source. The stream's lock is held.
func (src *source) ack(deliveries []*delivery) error {
	var tags []uint64
	for _, d := range deliveries {
		if d.source == src {
			tags = append(tags, d.tag)
		}
	}
	if len(tags) == 0 {
		return nil
	}
	upTo, single := src.acks.add(tags)
	if upTo > 0 {
		if err := src.channel.Ack(upTo, true); err != nil {
			return err
		}
	}
	for _, tag := range single {
		if err := src.channel.Ack(tag, false); err != nil {
			return err
		}
	}
	return nil
}

// giveBack returns a message that nobody has begun with. The stream's lock is held.
func (src *source) giveBack(d *delivery) error {
	if err := src.leave(); err != nil {
		return err
	}
	if !src.shared {
		return nil // it goes back with the channel
	}
	src.acks.add([]uint64{d.tag})
	return src.channel.Nack(d.tag, false, true)
}

// leave gives out no more messages of the queue, so that it can be passed on. The stream's lock is held.
func (src *source) leave() error {
	if src.state != joined {
		return nil
	}
	src.state = leaving
	s := src.stream
	kept := s.ready[:0]
	var dropped []*delivery
	for _, d := range s.ready {
		if d.source == src {
			dropped = append(dropped, d)
		} else {
			kept = append(kept, d)
		}
	}
	clear(s.ready[len(kept):])
	s.ready = kept
	if !src.shared {
		return nil
	}
	if err := src.channel.Cancel(consumerTag, false); err != nil { // what still comes until then is given back
		return err
	}
	for _, d := range dropped {
		if err := src.channel.Nack(d.tag, false, true); err != nil {
			return err
		}
	}
	return nil
}

// retire closes the channel, if there is one; the queue can be joined again.
func (src *source) retire() {
	s := src.stream
	s.mu.Lock()
	ch, answers := src.channel, src.acks.some
	src.channel = nil
	s.mu.Unlock()
	if ch == nil {
		return
	}
	if answers {
		src.flush(ch)
	}
	_ = ch.Close() // where the connection is lost there is nothing to close
	s.mu.Lock()
	src.spell++ // nothing that is still on its way counts
	src.state = idle
	s.mu.Unlock()
	s.wake()
}

// flush waits until the acknowledgements that were sent have reached the queue. The server does not confirm them, and while
// a quorum queue is slow to take them, its channel sets more than 32 of them aside and loses those when it is closed. What
// makes the channel wait for the queue is another consumer: in a partition it waits in line, and ends with the channel.
func (src *source) flush(ch *amqp.Channel) {
	if err := ch.Qos(1, 0, false); err == nil {
		_, _ = ch.Consume(src.queue, consumerTag+".flush", false, false, false, false, nil)
	}
}

// acks tells which acknowledgements can be sent as one: tags count from 1 in each channel.
type acks struct {
	some   bool            // something was answered
	low    uint64          // all tags up to it are answered
	beyond map[uint64]bool // answered ones above
}

// add notes answers, in the order of their tags. All up to upTo, itself one of these and not yet known to the server, are
// answered and can be acknowledged at once (0: none are); the rest cannot.
func (a *acks) add(tags []uint64) (upTo uint64, single []uint64) {
	a.some = true
	if a.beyond == nil {
		a.beyond = map[uint64]bool{}
	}
	for _, tag := range tags {
		a.beyond[tag] = true
	}
	for a.beyond[a.low+1] {
		a.low++
		delete(a.beyond, a.low)
	}
	for i, tag := range tags {
		if tag > a.low {
			return upTo, tags[i:]
		}
		upTo = tag
	}
	return upTo, nil
}
