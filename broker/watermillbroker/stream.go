package watermillbroker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"lexigram.dev/events/broker"
)

// stream is a member of a group: a subscription for each topic, and a goroutine that takes from it.
type stream struct {
	backend    *Backend
	subscriber message.Subscriber
	stop       context.CancelFunc
	gone       chan struct{} // closed when the stream is over
	lost       chan struct{} // closed when a subscription has ended by itself
	loseOnce   sync.Once
	places     chan struct{} // one for each message that is held
	arrived    chan arrival
	takers     sync.WaitGroup

	mu    sync.Mutex
	held  map[*message.Message]bool
	ended bool
}

// arrival is a message that a subscription has given out.
type arrival struct {
	topic   string
	message *message.Message
}

// Consume implements broker.Backend.
func (b *Backend) Consume(ctx context.Context, g broker.Group, prefetch int) (broker.Stream, error) {
	if err := b.Declare(ctx, g); err != nil {
		return nil, err
	}
	subscriber, err := b.o.Subscriber(ctx, g.Name)
	if err != nil {
		return nil, b.translate(ctx, err)
	}
	// The subscriptions live until the stream is closed, not as long as this call.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &stream{
		backend: b, subscriber: subscriber, stop: stop, gone: make(chan struct{}), lost: make(chan struct{}),
		places: make(chan struct{}, prefetch), arrived: make(chan arrival), held: map[*message.Message]bool{},
	}
	for _, topic := range g.Topics {
		messages, err := subscriber.Subscribe(life, topic)
		if err != nil {
			err = b.translate(ctx, err)
			_ = s.leave()
			return nil, err
		}
		s.takers.Go(func() { s.take(topic, messages) })
	}
	b.mu.Lock()
	closed := b.ending
	if !closed {
		b.streams[s] = true
	}
	b.mu.Unlock()
	if closed {
		_ = s.leave()
		return nil, broker.ErrClosed
	}
	return s, nil
}

// take hands on what a subscription gives out, as long as there are places.
func (s *stream) take(topic string, messages <-chan *message.Message) {
	for {
		select {
		case s.places <- struct{}{}:
		case <-s.gone:
			return
		}
		var m *message.Message
		select {
		case <-s.gone:
			return
		case got, ok := <-messages:
			if !ok {
				s.loseOnce.Do(func() { close(s.lost) })
				return
			}
			m = got
		}
		s.mu.Lock()
		s.held[m] = true
		s.mu.Unlock()
		select {
		case s.arrived <- arrival{topic, m}:
		case <-s.gone:
			return // leave gives it back
		}
	}
}

// over gives the error of a stream that is; nil: it goes on.
func (s *stream) over() error {
	select {
	case <-s.backend.closed:
		return broker.ErrClosed
	default:
	}
	select {
	case <-s.gone:
		return fmt.Errorf("%w: the stream is closed", broker.ErrUnavailable)
	default:
		return nil
	}
}

// Receive implements broker.Stream.
func (s *stream) Receive(ctx context.Context, limit int) ([]broker.Received, error) {
	if err := s.over(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case a := <-s.arrived:
		received := []broker.Received{s.received(a)}
		for len(received) < limit {
			select {
			case a := <-s.arrived:
				received = append(received, s.received(a))
				continue
			default:
			}
			break
		}
		return received, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.gone:
		return nil, s.over()
	case <-s.lost:
		if err := s.over(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: the subscription has ended", broker.ErrUnavailable)
	}
}

func (s *stream) received(a arrival) broker.Received {
	return broker.Received{
		Message: fromWatermill(a.topic, a.message),
		Owned:   func(any) bool { return a.message.Context().Err() == nil },
		Token:   a.message,
	}
}

// Ack implements broker.Stream. Watermill does not say whether the acknowledgement has arrived.
func (s *stream) Ack(ctx context.Context, messages []broker.Received) error {
	return s.answer(ctx, messages, (*message.Message).Ack)
}

// Release implements broker.Stream.
func (s *stream) Release(ctx context.Context, messages []broker.Received, _ time.Duration) error {
	return s.answer(ctx, messages, (*message.Message).Nack)
}

func (s *stream) answer(ctx context.Context, messages []broker.Received, answer func(m *message.Message) bool) error {
	if err := s.over(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range messages {
		m, ok := r.Token.(*message.Message)
		if !ok || !s.held[m] {
			return fmt.Errorf("%w: message %s is not held by this stream", broker.ErrInvalid, r.Message.ID)
		}
		if m.Context().Err() != nil {
			return fmt.Errorf("%w: the adapter has taken message %s back", broker.ErrUnavailable, r.Message.ID)
		}
		delete(s.held, m)
		answer(m)
		<-s.places
	}
	return nil
}

// Close implements broker.Stream.
func (s *stream) Close() error {
	s.backend.mu.Lock()
	delete(s.backend.streams, s)
	s.backend.mu.Unlock()
	return s.leave()
}

// leave gives back what is held, closes the subscriber, and ends the subscriptions: in this order, since an adapter may
// still be busy with acknowledgements.
func (s *stream) leave() error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil
	}
	s.ended = true
	s.mu.Unlock()
	defer s.stop()
	close(s.gone)
	s.takers.Wait()
	s.mu.Lock()
	for m := range s.held {
		m.Nack()
	}
	s.held = nil
	s.mu.Unlock()
	return s.backend.closeSubscriber(s.subscriber)
}
