package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
)

// taken is what a take came to: messages, or where to wait for some.
type taken struct {
	messages []broker.Received
	waits    []waits // for each topic
	err      error
}

// waits says where a topic may grow, and when its next message that pauses is due.
type waits struct {
	places []string      // keys and ids in turn
	pause  time.Duration // negative: nothing pauses
}

const (
	// rich is how many new messages of one answer make a stream rich: more are expected of it.
	rich = 8
	// share is the part of the messages that is left to streams that are not rich: an eighth.
	share = 8
)

// takeWithin takes, and returns when ctx ends. What the take then still brings, the next call gives.
func (s *stream) takeWithin(ctx context.Context, limit int) taken {
	if s.taking == nil {
		if !s.enter() {
			return taken{err: s.reason()}
		}
		result := make(chan taken, 1)
		s.taking = result
		s.turn++
		turn := s.turn
		go func() {
			defer s.running.Done()
			result <- s.take(limit, turn)
		}()
	}
	select {
	case got := <-s.taking:
		s.taking = nil
		return got
	case <-ctx.Done():
		return taken{err: ctx.Err()}
	}
}

// take asks the server for messages of each topic. An answer that is lost takes the stream with it, since the server
// may have given messages out.
func (s *stream) take(limit, turn int) taken {
	got := taken{waits: make([]waits, len(s.topics))}
	draining := false
	for i := range s.topics {
		i = (turn + i) % len(s.topics)
		a, err := s.ask(s.topics[i], 0, limit-len(got.messages), turn)
		if err != nil {
			s.lose(err)
			return taken{err: s.reason()}
		}
		got.messages = append(got.messages, a.messages...)
		got.waits[i] = a.waits
		draining = draining || a.draining
		if len(got.messages) >= limit {
			break
		}
	}
	s.hold(got.messages)
	s.draining.Store(draining)
	return got
}

// ask sees to the member's share of a topic's partitions, and prolongs the lease or, where that is 0, takes messages, up to
// limit. Only one goroutine at a time takes.
func (s *stream) ask(t *topic, lease time.Duration, limit, turn int) (answered, error) {
	patience := s.b.options.Lease
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := []any{s.group, s.member, lease.Milliseconds(), limit, turn}
	each := 0
	if limit > 0 && len(t.rich) > 0 {
		each = (limit - limit/share) / len(t.rich)
	}
	var (
		read, reply any
		err         error
	)
	if each > 0 {
		read, reply, err = s.readAhead(ctx, t, each, args)
	} else {
		reply, err = s.b.run(ctx, s.b.scripts.take, t.keys, args...)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &kindError{kind: broker.ErrUnavailable, err: fmt.Errorf("no answer for %v", patience)}
	}
	if err != nil {
		return answered{}, err
	}
	return s.decode(t, read, reply, limit > 0)
}

// readAhead reads the rich streams and runs the script, in one transaction.
func (s *stream) readAhead(ctx context.Context, t *topic, each int, args []any) (any, any, error) {
	var read, reply any // set by a goroutine that may outlive ctx
	limit := args[3].(int)
	command := []any{"xreadgroup", "group", s.group, s.member, "count", each, "streams"}
	for n, last := range t.rich {
		command = append(command, t.keys.stream(n, t.partitions))
		args = append(args, n, last, each)
		limit -= each
	}
	for range t.rich {
		command = append(command, ">")
	}
	args[3] = limit
	err := s.b.during(ctx, func() error {
		pipe := s.b.client.TxPipeline()
		streams := pipe.Do(ctx, command...)
		script := s.b.scripts.take.EvalSha(ctx, pipe, []string{t.keys.topic()}, args...)
		_, err := pipe.Exec(ctx)
		if err != nil && !errors.Is(err, redis.Nil) { // Nil: nothing was read
			return err
		}
		read, _ = streams.Result()
		reply, err = script.Result()
		return err
	})
	if err != nil {
		return nil, nil, translate(ctx, err)
	}
	return read, reply, nil
}
