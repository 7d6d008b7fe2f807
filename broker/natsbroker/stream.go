package natsbroker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
)

// stream is a member of a group, on each of its topics.
type stream struct {
	b        *Backend
	bucket   jetstream.KeyValue
	id       string
	prefetch int
	third    time.Duration // see there
	began    time.Time
	topics   []*membership

	ended   chan struct{} // closed when the stream is lost or closed
	wake    chan struct{} // of length 1: the keeper has something to do
	arrived chan struct{} // of length 1: there may be something to give out
	stop    context.CancelFunc
	keeping sync.WaitGroup
	leaving sync.Once

	mu          sync.Mutex // guards what follows, and the sources
	sources     []*source
	held        map[uint64]*token // by place in the stream: given out, or about to be
	queue       []*token          // to be given out, oldest first
	outstanding int               // messages asked for that have not come
	takes       int               // sources in state taking
	answered    chan struct{}     // closed when the source whose turn it is has answered; nil: none is asked
	turn        int               // of the sources, where the prefetch is too small to ask all at once
	found       bool              // something has come in this round of turns
	pause       time.Duration     // after a round in vain
	polling     bool              // such a pause is under way
	timer       *time.Timer
	drains      bool  // the member gives everything up: it was told so by Release, until it receives again
	gone        error // why the stream has ended
}

// token marks a message that the stream holds.
type token struct {
	source     *source
	place      uint64 // in the JetStream stream
	reply      string // where answers go
	deliveries int
	message    broker.Message
	out        bool      // Receive has given it out
	fresh      time.Time // when the server began to wait for an answer
}

func newStream(b *Backend, bucket jetstream.KeyValue, g broker.Group, id string, prefetch int) *stream {
	s := &stream{
		b: b, bucket: bucket, id: id, prefetch: prefetch, third: third(b.lease), began: time.Now(),
		ended: make(chan struct{}), wake: make(chan struct{}, 1), arrived: make(chan struct{}, 1), held: map[uint64]*token{},
	}
	for _, topic := range g.Topics {
		m := newMembership(s, g.Name, topic)
		s.topics = append(s.topics, m)
		s.sources = append(s.sources, m.sources...)
	}
	return s
}

// start joins the group.
func (s *stream) start(ctx context.Context) error {
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for _, m := range s.topics {
		if err := m.join(ctx); err != nil {
			return err
		}
	}
	s.keeping.Go(func() { s.keep(keeping) })
	return nil
}

// Receive implements broker.Stream.
func (s *stream) Receive(ctx context.Context, limit int) ([]broker.Received, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		received, err := s.next(limit)
		if err != nil || len(received) > 0 {
			return received, err
		}
		select {
		case <-s.arrived:
		case <-ctx.Done():
		case <-s.ended:
		}
	}
}

// next gives out what has come.
func (s *stream) next(limit int) ([]broker.Received, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return nil, s.gone
	}
	if s.drains { // it goes on after all
		s.drains = false
		s.nudge()
	}
	n := min(limit, len(s.queue))
	received := make([]broker.Received, n)
	for i, t := range s.queue[:n] {
		t.out = true
		received[i] = broker.Received{Message: t.message, Deliveries: t.deliveries, Owned: t.source.owned, Token: t}
		t.message = broker.Message{}
	}
	s.queue = slices.Delete(s.queue, 0, n)
	if len(s.queue) > 0 {
		signal(s.arrived)
	}
	return received, nil
}

// Ack implements broker.Stream. Answers are handled by the server in their order, so the last one for each consumer is
// sent with the wish to be confirmed, and stands for those before it.
func (s *stream) Ack(ctx context.Context, messages []broker.Received) error {
	tokens, err := s.tokens(ctx, messages)
	if err != nil {
		return err
	}
	if err := s.answer(ctx, tokens, []byte("+ACK")); err != nil {
		return s.failed(err)
	}
	s.drop(tokens)
	return nil
}

// Release implements broker.Stream. Without a pause, the member is about to leave: it asks for no more, and gives its
// partitions up as soon as what it still holds of them is answered.
func (s *stream) Release(ctx context.Context, messages []broker.Received, after time.Duration) error {
	tokens, err := s.tokens(ctx, messages)
	if err != nil {
		return err
	}
	if after > 0 {
		if err := s.answer(ctx, tokens, []byte(`-NAK {"delay": `+strconv.FormatInt(after.Nanoseconds(), 10)+`}`)); err != nil {
			return s.failed(err)
		}
		s.drop(tokens)
		return nil
	}
	s.mu.Lock()
	s.drains = true
	for _, t := range tokens {
		t.out = false // goes back with what was never given out
	}
	s.mu.Unlock()
	s.endAsking(ctx)
	if err := s.giveBack(ctx, func(t *token) bool { return !t.out }); err != nil {
		return s.failed(err)
	}
	s.nudge()
	return nil
}

// giveBack gives back what the stream holds and that is chosen, oldest first.
func (s *stream) giveBack(ctx context.Context, which func(t *token) bool) error {
	s.mu.Lock()
	var tokens []*token
	for _, t := range s.held {
		if which(t) {
			tokens = append(tokens, t)
		}
	}
	s.queue = slices.DeleteFunc(s.queue, which)
	s.mu.Unlock()
	if err := s.answer(ctx, tokens, []byte("-NAK")); err != nil {
		return err
	}
	s.drop(tokens)
	return nil
}

// answer sends an answer for each message, and waits until the server has them all.
func (s *stream) answer(ctx context.Context, tokens []*token, text []byte) error {
	if len(tokens) == 0 {
		return nil
	}
	tokens = slices.Clone(tokens)
	slices.SortFunc(tokens, func(a, b *token) int {
		return cmp.Or(cmp.Compare(a.source.consumer, b.source.consumer), cmp.Compare(a.place, b.place))
	})
	replies := make([]string, len(tokens))
	s.mu.Lock()
	for i, t := range tokens {
		replies[i] = t.reply
	}
	s.mu.Unlock()
	isLast := func(i int) bool { return i+1 == len(tokens) || tokens[i+1].source != tokens[i].source }
	confirmations := 0
	for i := range tokens {
		if isLast(i) {
			confirmations++
		}
	}
	before := s.b.conn.Stats().Reconnects
	batch, err := s.b.answers.begin(confirmations, func(_ int, m *nats.Msg) error {
		if m.Header.Get(statusHeader) == "503" {
			return nats.ErrNoResponders
		}
		return nil
	})
	if err != nil {
		return err
	}
	number := 0
	for i := range tokens {
		m := &nats.Msg{Subject: replies[i], Data: text}
		if isLast(i) {
			s.b.answers.send(batch, number, m)
			number++
		} else if err := s.b.conn.PublishMsg(m); err != nil {
			for ; number < confirmations; number++ {
				s.b.answers.note(batch, number, err)
			}
			break
		}
	}
	for _, err := range s.b.answers.wait(ctx, batch, s.b.options.Timeout) {
		if err != nil {
			return translate(ctx, err)
		}
	}
	if s.b.conn.Stats().Reconnects != before { // those that were not to be confirmed may be lost
		return unavailable("the connection was lost while messages were answered")
	}
	return nil
}

// tokens gives what marks the messages, if the stream may answer them.
func (s *stream) tokens(ctx context.Context, messages []broker.Received) ([]*token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return nil, s.gone
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tokens := make([]*token, len(messages))
	for i, m := range messages {
		t, ok := m.Token.(*token)
		if !ok || s.held[t.place] != t {
			return nil, &kindError{kind: broker.ErrInvalid, err: fmt.Errorf("message %s is not held by this stream", m.Message.ID)}
		}
		tokens[i] = t
	}
	return tokens, nil
}

// drop ends the holding of messages.
func (s *stream) drop(tokens []*token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tokens {
		if s.held[t.place] != t {
			continue
		}
		delete(s.held, t.place)
		if t.source.held--; t.source.held == 0 && t.source.state == draining {
			s.nudge()
		}
	}
	s.ask(false)
}

// failed gives the error of an answer: when the stream has ended, why it has.
func (s *stream) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return s.gone
	}
	return err
}

// lose ends the stream: what it holds will be delivered again.
func (s *stream) lose(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loseLocked(reason)
}

func (s *stream) loseLocked(reason error) {
	if s.gone == nil {
		s.gone = reason
		close(s.ended)
	}
}

// nudge wakes the keeper.
func (s *stream) nudge() { signal(s.wake) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Close implements broker.Stream.
func (s *stream) Close() error {
	s.leave(unavailable("the stream is closed"))
	return nil
}

// leave ends the stream, gives back what it holds, and leaves the group. It is bounded: what cannot be said to the server
// in time comes to others when the lease is over.
func (s *stream) leave(reason error) {
	s.lose(reason)
	s.leaving.Do(func() {
		if s.stop != nil {
			s.stop()
		}
		s.keeping.Wait()
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), farewellKey{}, true), s.third)
		defer cancel()
		if s.b.waitConnected(ctx) == nil {
			s.farewell(ctx)
		}
		for _, m := range s.topics {
			m.forget()
		}
		s.mu.Lock()
		if s.timer != nil {
			s.timer.Stop()
		}
		s.mu.Unlock()
		s.b.mu.Lock()
		delete(s.b.streams, s)
		s.b.mu.Unlock()
	})
}

// farewell gives back what the stream holds, and its partitions.
func (s *stream) farewell(ctx context.Context) {
	s.endAsking(ctx)
	err := s.giveBack(ctx, func(*token) bool { return true })
	var ending sync.WaitGroup
	for _, m := range s.topics {
		ending.Go(func() { m.leave(ctx, err == nil) })
	}
	ending.Wait()
}

// endAsking makes the server forget all that was asked for, and waits until what was on its way has come.
func (s *stream) endAsking(ctx context.Context) {
	var ending sync.WaitGroup
	for _, src := range s.sources {
		ending.Go(func() { src.endAsking(ctx) })
	}
	ending.Wait()
}
