package kafkabroker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

// stream is a member of a group, with a client of its own. One goroutine polls what the client has fetched, while Receive
// has less before it than the prefetch, so that the client fetches more meanwhile; it stops when nobody polls.
type stream struct {
	backend  *Backend
	group    broker.Group
	prefetch int
	instance string // as a static member; "": it is dynamic
	client   *kgo.Client
	reader   reader         // Receive's own
	isOwned  func(any) bool // the method owned
	topics   map[string]kadm.TopicID
	polling  context.CancelFunc
	polled   chan struct{} // closed when the poller has ended
	ending   sync.Once
	commits  sync.Mutex // one commit at a time, so that offsets never go back

	mu         sync.Mutex
	changed    chan struct{}        // closed, and made anew, when something has changed
	partitions map[place]*partition // those that it has
	fetched    []*partition         // those of which something was polled and not given out; Receive takes of them in turn
	held       int                  // messages given out, and neither answered nor dropped
	gone       error                // why it is over; see fail
	wary       atomic.Bool          // it is over or leaving: owned looks closer
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
	s.isOwned = s.owned
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

// fail notes why the stream is over. The lock is held.
func (s *stream) fail(reason error) {
	s.gone = reason
	s.wary.Store(true)
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
		s.fail(reason)
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
