package rabbitbroker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// stream is a member of a group: it consumes from the queues of its topics, each over a channel of its own. See source for
// how a queue goes from one member to another.
type stream struct {
	broker   *Broker
	conn     *connection
	group    broker.Group
	prefetch int
	sources  []*source
	done     chan struct{} // closed when the stream is over
	news     chan struct{} // there may be something for Receive

	forwarders sync.WaitGroup // and the goroutine that balances

	mu    sync.Mutex
	ready []*delivery // came, and not given out
	given int         // given out, and not answered
	gone  error       // why it is over
}

// delivery is a message as it came: the token of what Receive gives.
type delivery struct {
	source *source
	tag    uint64
	amqp   amqp.Delivery // until it is given out
	open   bool          // given out, and not answered
}

// Consume implements broker.Backend.
func (b *Broker) Consume(ctx context.Context, g broker.Group, prefetch int) (broker.Stream, error) {
	if err := b.Declare(ctx, g); err != nil {
		return nil, err
	}
	c, err := b.consuming.connect(ctx, b.o.ReconnectFor)
	if err != nil {
		return nil, err
	}
	s := &stream{
		broker: b, conn: c, group: g, prefetch: prefetch, done: make(chan struct{}), news: make(chan struct{}, 1),
	}
	for _, topic := range g.Topics {
		for slot := shared; slot < b.o.Partitions; slot++ {
			s.sources = append(s.sources, &source{stream: s, topic: topic, queue: b.queueName(g.Name, topic, slot), shared: slot == shared})
		}
	}
	b.mu.Lock()
	if b.isClosed() {
		b.mu.Unlock()
		return nil, broker.ErrClosed
	}
	b.streams[s] = true
	b.mu.Unlock()
	if err := s.join(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	if b.o.Partitions > 1 {
		s.forwarders.Go(s.balance)
	}
	return s, nil
}

// join consumes from the queues that the stream does not consume from.
func (s *stream) join(ctx context.Context) error {
	return s.broker.translate(ctx, s.broker.await(ctx, func() error {
		for _, src := range s.sources {
			if err := src.join(); err != nil {
				return err
			}
		}
		return nil
	}, func() {}))
}

// qos is how many messages the server may send of one queue before they are answered. The queues share the prefetch, but
// a small one is not divided: all messages may be in one queue.
func (s *stream) qos() int {
	return max(s.prefetch/len(s.sources), min(s.prefetch, 32))
}

// Receive implements broker.Stream.
func (s *stream) Receive(ctx context.Context, limit int) ([]broker.Received, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		received, left, err := s.take(limit)
		if received != nil || err != nil {
			return received, err
		}
		if left {
			if err := s.join(ctx); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-s.news:
		case <-s.done:
		case <-ctx.Done():
		}
	}
}

// take gives out what is there; left tells that a queue was left, and may be joined again.
func (s *stream) take(limit int) (received []broker.Received, left bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return nil, false, s.gone
	}
	n := min(limit, s.prefetch-s.given, len(s.ready))
	for _, d := range s.ready[:max(n, 0)] {
		m, before := decode(d.source.topic, &d.amqp)
		d.open, d.amqp = true, amqp.Delivery{}
		d.source.held++
		s.given++
		received = append(received, broker.Received{Message: m, Deliveries: before + 1, Token: d})
	}
	if received != nil {
		clear(s.ready[:n])
		s.ready = s.ready[n:]
		return received, false, nil
	}
	return nil, slices.ContainsFunc(s.sources, func(src *source) bool { return src.state == idle }), nil
}

// wake lets Receive look again.
func (s *stream) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// answered takes messages out of the hands of the receiver, and gives them in the order in which they came. The lock is
// held.
func (s *stream) answered(messages []broker.Received) ([]*delivery, error) {
	if s.gone != nil {
		return nil, s.gone
	}
	deliveries := make([]*delivery, len(messages))
	for i, m := range messages {
		d, ok := m.Token.(*delivery)
		if !ok || d.source.stream != s || !d.open {
			return nil, kindOf(broker.ErrInvalid, "message %s is not held by this stream", m.Message.ID)
		}
		deliveries[i] = d
	}
	for _, d := range deliveries {
		d.open = false
		d.source.held--
		s.given--
	}
	slices.SortFunc(deliveries, func(a, b *delivery) int { return cmp.Compare(a.tag, b.tag) })
	return deliveries, nil
}

// Ack implements broker.Stream.
func (s *stream) Ack(ctx context.Context, messages []broker.Received) error {
	if err := s.broker.begin(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	deliveries, err := s.answered(messages)
	if err != nil {
		return err
	}
	for _, src := range s.sources {
		if err := src.ack(deliveries); err != nil {
			return s.fail(s.broker.translate(ctx, err))
		}
	}
	s.settle()
	s.wake()
	return nil
}

// Release implements broker.Stream. A message without a key goes back at once; the others of a queue go back together, in
// their order, once none of them is in the receiver's hands: another member gets the queue then. After a pause, they go
// by way of a queue that delays.
func (s *stream) Release(ctx context.Context, messages []broker.Received, after time.Duration) error {
	if err := s.broker.begin(ctx); err != nil {
		return err
	}
	if after > 0 {
		return s.delay(ctx, messages, after)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	deliveries, err := s.answered(messages)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		if err := d.source.giveBack(d); err != nil {
			return s.fail(s.broker.translate(ctx, err))
		}
	}
	s.settle()
	return nil
}

// settle retires the queues that are being left and of which nothing is in the receiver's hands. The lock is held.
func (s *stream) settle() {
	for _, src := range s.sources {
		if src.state == leaving && src.held == 0 {
			src.state = retiring
			s.forwarders.Go(src.retire)
		}
	}
}

// fail ends the stream because of an error, which it gives. The lock is held.
func (s *stream) fail(err error) error {
	if s.gone == nil {
		s.gone = err
		close(s.done)
	}
	return s.gone
}

// end ends the stream.
func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.fail(err)
}

// Close implements broker.Stream. The server puts back what is not answered, in its order, when it hears that the channels
// are closed.
func (s *stream) Close() error {
	s.end(unavailable("the stream is closed"))
	s.broker.mu.Lock()
	delete(s.broker.streams, s)
	s.broker.mu.Unlock()
	patience := time.AfterFunc(goodbye, s.conn.socket.abort) // a server that does not answer gets everything back this way
	for _, src := range s.sources {
		src.retire()
	}
	s.forwarders.Wait()
	patience.Stop()
	return nil
}

// holds counts the messages of a group that the stream has and has not answered.
func (s *stream) holds(g broker.Group) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil || s.group.Name != g.Name {
		return 0
	}
	var n int64
	for _, src := range s.sources {
		if slices.Contains(g.Topics, src.topic) {
			n += int64(src.held)
		}
	}
	for _, d := range s.ready {
		if slices.Contains(g.Topics, d.source.topic) {
			n++
		}
	}
	return n
}
