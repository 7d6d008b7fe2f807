package kafkabroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

// stream is a member of a group, with a client of its own. One goroutine polls, when Receive asks for messages and there
// is room for them; the client fetches ahead, and stops when nobody polls.
type stream struct {
	backend  *Backend
	group    broker.Group
	prefetch int
	instance string // as a static member; "": it is dynamic
	client   *kgo.Client
	topics   map[string]kadm.TopicID
	polling  context.CancelFunc
	polled   chan struct{} // closed when the poller has ended
	ending   sync.Once
	commits  sync.Mutex // one commit at a time, so that offsets never go back

	mu         sync.Mutex
	changed    chan struct{}        // closed, and made anew, when something has changed
	partitions map[place]*partition // those that it has
	ready      []broker.Received    // polled, and not given out yet
	held       int                  // polled, and neither answered nor dropped
	wanted     int                  // how many messages Receive waits for
	gone       error                // why it is over
	share                           // what it wants of the group's partitions
}

// Consume implements broker.Backend. The stream joins the group in the background.
func (b *Backend) Consume(ctx context.Context, g broker.Group, prefetch int) (broker.Stream, error) {
	if err := b.Declare(ctx, g); err != nil {
		return nil, err
	}
	var topics kadm.TopicDetails
	err := patiently(ctx, func() (err error) {
		topics, err = b.details(ctx, g.Topics)
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &stream{
		backend: b, group: g, prefetch: prefetch, instance: b.instanceID(g.Name), topics: map[string]kadm.TopicID{},
		polled: make(chan struct{}), changed: make(chan struct{}), partitions: map[place]*partition{},
	}
	for name, detail := range topics {
		s.topics[name] = detail.ID
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(g.Name), kgo.ConsumeTopics(g.Topics...), kgo.DisableAutoCommit(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), // of partitions that were added later
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // where the topic was trimmed: the oldest that is left
		kgo.Balancers(&balancer{GroupBalancer: kgo.CooperativeStickyBalancer(), stream: s}),
		kgo.SessionTimeout(b.o.SessionTimeout), kgo.HeartbeatInterval(b.o.SessionTimeout / 15),
		kgo.RebalanceTimeout(b.o.RevokeWait + 30*time.Second),
		kgo.BlockRebalanceOnPoll(), // what was polled is noted before its partition can be taken away
		kgo.OnPartitionsAssigned(s.assigned), kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.lost),
		kgo.FetchMaxBytes(8 << 20), kgo.FetchMaxPartitionBytes(1 << 20), kgo.FetchMaxWait(500 * time.Millisecond),
	}
	if s.instance != "" {
		options = append(options, kgo.InstanceID(s.instance))
	}
	if s.client, err = b.newClient(options...); err == nil {
		if err = b.add(s); err != nil {
			closeClient(s.client)
		}
	}
	if err != nil {
		b.remove(s)
		return nil, translate(ctx, err)
	}
	polling, cancel := context.WithCancel(context.Background())
	s.polling = cancel
	go s.poll(polling)
	return s, nil
}

// signal wakes all that wait for a change. The lock is held.
func (s *stream) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// poll takes what Receive asks for until ctx ends.
func (s *stream) poll(ctx context.Context) {
	defer close(s.polled)
	for {
		n := s.demand(ctx)
		if n == 0 {
			return
		}
		fetches := s.client.PollRecords(ctx, n)
		s.take(ctx, fetches)
		s.client.AllowRebalance()
	}
}

// demand waits until messages are wanted and may be polled, and tells how many; 0: the stream is over.
func (s *stream) demand(ctx context.Context) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		n := min(s.wanted, s.prefetch-s.held)
		if s.gone != nil || ctx.Err() != nil {
			return 0
		}
		if n > 0 && !s.leaving && !s.disclaimed && len(s.ready) == 0 {
			return n
		}
		s.wait(ctx)
	}
}

// wait waits for a change, or the end of ctx. The lock is held, and let go while it waits.
func (s *stream) wait(ctx context.Context) {
	changed := s.changed
	s.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	s.mu.Lock()
}

// take notes what was polled.
func (s *stream) take(ctx context.Context, fetches kgo.Fetches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fetches.EachError(func(topic string, partition int32, err error) {
		if ctx.Err() != nil || s.gone != nil {
			return
		}
		if topic != "" {
			err = fmt.Errorf("topic %s, partition %d: %w", topic, partition, err)
		}
		s.gone = translate(ctx, err)
		if errors.Is(s.gone, broker.ErrClosed) {
			s.gone = unavailable("the stream is closed")
		}
	})
	// One allocation for all entries: they are answered at about the same time.
	entries := make([]entry, fetches.NumRecords())
	s.ready = slices.Grow(s.ready, len(entries))
	fetches.EachRecord(func(r *kgo.Record) {
		p := s.partitions[place{r.Topic, r.Partition}]
		if p == nil || s.leaving {
			return // nobody gets it here: whoever has the partition next reads it, since it is not committed
		}
		e := &entries[0]
		entries = entries[1:]
		*e = entry{partition: p, offset: r.Offset, epoch: r.LeaderEpoch}
		p.add(e)
		s.held++
		s.ready = append(s.ready, broker.Received{Message: messageOf(r), Token: e, Owned: func() bool { return s.owned(e) }})
		if len(p.entries) == s.farAhead() {
			s.client.PauseFetchPartitions(p.asMap())
		}
	})
	s.watchProgress()
	s.signal()
}

// Receive implements broker.Stream.
func (s *stream) Receive(ctx context.Context, limit int) ([]broker.Received, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.wanted = 0 }()
	for {
		if s.gone != nil {
			return nil, s.gone
		}
		if s.leaving {
			return nil, unavailable("the stream has given messages back, and leaves")
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if n := min(limit, len(s.ready)); n > 0 {
			received := s.ready[:n:n]
			if s.ready = s.ready[n:]; len(s.ready) == 0 {
				s.ready = nil
				s.signal()
			}
			return received, nil
		}
		if s.wanted != limit {
			s.wanted = limit
			s.signal()
			continue
		}
		s.wait(ctx)
	}
}

// Close implements broker.Stream.
func (s *stream) Close() error {
	s.end(unavailable("the stream is closed"))
	return nil
}

// end leaves the group. It takes a few seconds at most, also when the broker does not answer; then the others wait for
// the end of the session.
func (s *stream) end(reason error) {
	s.mu.Lock()
	if s.gone == nil || errors.Is(reason, broker.ErrClosed) {
		s.gone = reason
	}
	s.closed = true
	s.stopWatching()
	s.signal()
	s.mu.Unlock()
	s.ending.Do(func() {
		s.polling()
		s.client.AllowRebalance()
		<-s.polled
		closeClient(s.client)
		s.backend.remove(s)
	})
}

// leaveTimeout bounds how long a client says goodbye.
const leaveTimeout = 5 * time.Second

// closeClient closes the client of a member.
func closeClient(client *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	client.AllowRebalance()
	if err := client.LeaveGroupContext(ctx); err != nil {
		cancel()
	}
	client.CloseAllowingRebalance()
}
