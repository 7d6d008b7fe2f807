package redisbroker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
)

// stream is a member of a group, on each of its topics.
type stream struct {
	b        *Backend
	group    string
	member   string
	prefetch int
	topics   []*topic
	waiters  []*waiter

	until    atomic.Int64  // when the lease is over, in ns of time.Since(began)
	acks     atomic.Int64  // how many calls of Ack have come to their end
	draining atomic.Bool   // a partition is to be given up as soon as its messages are answered
	ended    chan struct{} // closed when the stream is lost or closed
	began    time.Time

	mu      sync.Mutex // guards what follows
	held    map[*token]bool
	room    chan struct{} // closed when held has shrunk; nil: nobody waits
	gone    error         // why the stream has ended
	running sync.WaitGroup
	leaving sync.Once
	leftErr error

	isOwned func(any) bool // owned, for broker.Received
	taking  chan taken     // a take whose Receive has ended before it; only Receive looks at it
	turn    int            // grows with each take, so that streams take turns
	misses  int            // waits in a row that have failed
}

// topic is what a stream knows of one of its topics.
type topic struct {
	name       string
	keys       keys
	partitions int
	acked      atomic.Int64   // messages since the topic was trimmed
	rich       map[int]string // streams of which much has come, and the id of the last of it
}

// token marks a message that the stream has given out.
type token struct {
	topic      *topic
	number     int // of the stream in Redis
	id         string
	deliveries int
}

// Receive implements broker.Stream.
func (s *stream) Receive(ctx context.Context, limit int) ([]broker.Received, error) {
	for {
		if err := s.usable(ctx); err != nil {
			return nil, err
		}
		room, more := s.free()
		if room == 0 && s.taking == nil {
			select {
			case <-more:
			case <-ctx.Done():
			case <-s.ended:
			}
			continue
		}
		acks := s.acks.Load()
		got := s.takeWithin(ctx, min(limit, room))
		if got.err != nil || len(got.messages) > 0 {
			return got.messages, got.err
		}
		if s.draining.Load() && s.acks.Load() != acks {
			continue // a partition may be ready to be given up
		}
		if err := s.wait(ctx, got.waits); err == nil {
			s.misses = 0
		} else if s.misses++; s.misses > 1 { // once may be a connection that was cut
			s.lose(err)
		}
	}
}

// free tells how many messages may be taken and, where that is none, when to look again.
func (s *stream) free() (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if room := s.prefetch - len(s.held); room > 0 {
		return room, nil
	}
	if s.room == nil {
		s.room = make(chan struct{})
	}
	return 0, s.room
}

// Ack implements broker.Stream.
func (s *stream) Ack(ctx context.Context, messages []broker.Received) error {
	tokens, err := s.tokens(ctx, messages)
	if err != nil {
		return err
	}
	type place struct {
		topic  *topic
		number int
	}
	ids := map[place][]any{}
	for _, t := range tokens {
		at := place{t.topic, t.number}
		if ids[at] == nil {
			ids[at] = append(make([]any, 0, len(tokens)+3), "xack", t.topic.keys.stream(t.number, t.topic.partitions), s.group)
		}
		ids[at] = append(ids[at], t.id)
	}
	pinged := s.draining.Load()
	err = s.b.during(ctx, func() error {
		pipe := s.b.client.Pipeline()
		for _, args := range ids {
			pipe.Do(ctx, args...)
		}
		if pinged {
			s.ping(ctx, pipe)
		}
		_, err := pipe.Exec(ctx)
		return err
	})
	if err != nil {
		return s.failed(translate(ctx, err))
	}
	s.drop(tokens)
	for _, t := range tokens {
		t.topic.acked.Add(1)
	}
	s.acks.Add(1)
	if !pinged && s.draining.Load() { // a take has found out meanwhile
		err = s.b.during(ctx, func() error {
			pipe := s.b.client.Pipeline()
			s.ping(ctx, pipe)
			_, err := pipe.Exec(ctx)
			return err
		})
	}
	return s.failed(translate(ctx, err))
}

// ping wakes the members of the group, this one included.
func (s *stream) ping(ctx context.Context, pipe redis.Pipeliner) {
	for _, t := range s.topics {
		pipe.Do(ctx, "xadd", t.keys.waker(s.group), "maxlen", 1, "*", "w", "1")
	}
}

// Release implements broker.Stream.
func (s *stream) Release(ctx context.Context, messages []broker.Received, after time.Duration) error {
	tokens, err := s.tokens(ctx, messages)
	if err != nil {
		return err
	}
	const page = 1000
	pause := after.Milliseconds()
	if after > 0 {
		pause = max(1, pause)
	}
	args := map[*topic][]any{}
	for i, t := range tokens {
		args[t.topic] = append(args[t.topic], t.number, t.id, t.deliveries-1)
		if i+1 < len(tokens) && len(args[t.topic]) < 3*page {
			continue
		}
		for topic, list := range args {
			if _, err := s.b.run(ctx, s.b.scripts.release, topic.keys, append([]any{s.group, s.member, pause}, list...)...); err != nil {
				return s.failed(err)
			}
		}
		clear(args)
	}
	s.drop(tokens)
	return nil
}

// tokens gives what marks the messages, if the stream may answer them.
func (s *stream) tokens(ctx context.Context, messages []broker.Received) ([]*token, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens := make([]*token, len(messages))
	for i, m := range messages {
		t, ok := m.Token.(*token)
		if !ok || !s.held[t] {
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
		delete(s.held, t)
	}
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// failed gives the error of an answer to the server: when the stream has ended, why it has.
func (s *stream) failed(err error) error {
	if err == nil {
		return nil
	}
	if says(answer(err), errLost) {
		s.lose(err)
	}
	if reason := s.reason(); reason != nil {
		return reason
	}
	return err
}
