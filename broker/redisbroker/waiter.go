package redisbroker

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// block is how long the server is asked to wait for something new.
	block = 5 * time.Second
	// farewell bounds how long a stream tries to say that it leaves.
	farewell = 3 * time.Second
)

var errClosedStream = errors.New("the stream is closed")

// waiter waits for streams to grow, by a connection of its own: one that waits is of no use to others, and is closed when
// there is nothing to wait for any more.
type waiter struct {
	client *redis.Client
	topics []int // for which of the stream's topics

	mu      sync.Mutex
	conn    net.Conn
	stopped bool
}

// waiters makes those of a stream: one for all topics, on a cluster one for each, since they may be on different servers.
// They do no I/O yet.
func (b *Backend) waiters(ctx context.Context, topics []*topic) ([]*waiter, error) {
	_, cluster := b.client.(*redis.ClusterClient)
	var all []*waiter
	for i, t := range topics {
		if !cluster && i > 0 {
			all[0].topics = append(all[0].topics, i)
			continue
		}
		node, err := b.node(ctx, t.name)
		if err != nil {
			return nil, err
		}
		o := *node.Options()
		w := &waiter{topics: []int{i}}
		dial := o.Dialer
		if dial == nil {
			dial = redis.NewDialer(&o)
		}
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return w.know(conn), nil
		}
		o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 1, 0, 1, 1
		w.client = redis.NewClient(&o)
		all = append(all, w)
	}
	return all, nil
}

// know notes the connection that is to be closed to end a wait.
func (w *waiter) know(conn net.Conn) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
	if w.stopped {
		_ = conn.Close() // its use will fail; an error here would be reported on standard error
	}
	return conn
}

// stop ends a wait at once, wherever it is.
func (w *waiter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

func (w *waiter) close() {
	w.stop()
	_ = w.client.Close()
}

// wait returns when one of the streams has grown beyond its id, when the server's patience is over, or when ctx or the
// stream ends: then without an error.
func (w *waiter) wait(ctx context.Context, s *stream, keysAndIDs []string, patience time.Duration) error {
	w.mu.Lock()
	w.stopped = false
	w.mu.Unlock()
	if s.usable(ctx) != nil {
		return nil // it has ended before it could stop this wait
	}
	defer context.AfterFunc(ctx, w.stop)()
	limited, cancel := context.WithTimeout(ctx, patience+farewell)
	defer cancel()
	err := w.client.XRead(limited, &redis.XReadArgs{Streams: keysAndIDs, Count: 1, Block: patience}).Err()
	if errors.Is(err, redis.Nil) || s.usable(ctx) != nil {
		return nil
	}
	return translate(ctx, err)
}

// wait returns when a topic may have something new, or when ctx or the stream ends.
func (s *stream) wait(ctx context.Context, topics []waits) error {
	if !s.enter() {
		return nil
	}
	defer s.running.Done()
	streams, patience := make([][]string, len(s.waiters)), block
	for i, w := range s.waiters {
		var ids []string
		for _, t := range w.topics {
			places := topics[t].places
			for j := 0; j+1 < len(places); j += 2 {
				streams[i], ids = append(streams[i], places[j]), append(ids, places[j+1])
			}
			if topics[t].pause > 0 {
				patience = min(patience, topics[t].pause)
			}
		}
		streams[i] = append(streams[i], ids...)
	}
	if len(s.waiters) == 1 {
		return s.waiters[0].wait(ctx, s, streams[0], patience)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		waiting sync.WaitGroup
		errs    = make([]error, len(s.waiters))
	)
	for i, w := range s.waiters {
		waiting.Go(func() {
			defer cancel() // the first that returns ends the others
			errs[i] = w.wait(ctx, s, streams[i], patience)
		})
	}
	waiting.Wait()
	return errors.Join(errs...)
}
