package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"lexigram.dev/events/broker"
)

// headerRoom is what a message may need beside body, key and headers: id, topic, and the form of up to 64 headers.
const headerRoom = 4 << 10

// Backend implements broker.Backend on a JetStream stream. It is safe for concurrent use.
type Backend struct {
	options Options
	hosts   string
	conn    *nats.Conn
	js      jetstream.JetStream
	answers *answers
	inbox   atomic.Pointer[answers] // the same, for callbacks of the connection, which may come before it is there
	window  chan struct{}           // an entry for each message that is sent and not confirmed
	stream  jetstream.Stream
	config  jetstream.StreamConfig

	partitions int
	lease      time.Duration
	retention  jetstream.RetentionPolicy
	maxPayload int

	mu        sync.Mutex
	streams   map[*stream]bool
	calls     map[*call]bool
	bucket    jetstream.KeyValue
	connected chan struct{} // closed when the connection is there again
	closed    bool
	finish    sync.Once
}

// Open connects to a server, trying again until ctx ends where it cannot be reached, and finds or makes the stream. The
// form of the URL is that of [Driver]; "" names the server in Options.Client, or nats.DefaultURL.
func Open(ctx context.Context, brokerURL string, o Options) (*Backend, error) {
	b, err := open(ctx, brokerURL, o)
	if err != nil {
		return nil, fmt.Errorf("open a NATS broker: %w", err)
	}
	return b, nil
}

func open(ctx context.Context, brokerURL string, o Options) (*Backend, error) {
	server := settings{hosts: []string{nats.DefaultURL}}
	if brokerURL != "" {
		var err error
		if server, err = parseURL(brokerURL, &o); err != nil {
			return nil, err
		}
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	b := &Backend{
		options: o, hosts: strings.ReplaceAll(strings.Join(server.hosts, ", "), "nats://", ""),
		streams: map[*stream]bool{}, calls: map[*call]bool{}, connected: make(chan struct{}), window: make(chan struct{}, window),
	}
	if err := b.connect(ctx, server); err != nil {
		return nil, err
	}
	err := b.prepare(ctx)
	if err != nil {
		b.conn.Close()
		return nil, err
	}
	for _, fault := range faults(b.config, o.SyncAlways) {
		o.OnWarning(fmt.Sprintf("NATS stream %s: %s", o.Stream, fault))
	}
	return b, nil
}

// prepare makes the rest of what a backend needs, trying again while JetStream is not ready.
func (b *Backend) prepare(ctx context.Context) error {
	for {
		err := b.openStream(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, broker.ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return &kindError{kind: ctx.Err(), err: err}
		}
	}
	b.maxPayload = int(b.conn.MaxPayload())
	if limit := int(b.config.MaxMsgSize); limit > 0 {
		b.maxPayload = min(b.maxPayload, limit)
	}
	a, err := newAnswers(b.conn)
	if err != nil {
		return translate(ctx, err)
	}
	b.answers = a
	b.inbox.Store(a)
	return nil
}

// Features implements broker.Backend.
func (b *Backend) Features() broker.Features {
	return broker.Features{
		Ordered: true, Durable: b.config.Storage == jetstream.FileStorage || b.config.Replicas > 1, DeliveryCount: true, DelayedRedelivery: true,
		Replay: b.retention == jetstream.LimitsPolicy, MaxMessageBytes: max(1, b.maxPayload-headerRoom),
	}
}

// Consume implements broker.Backend.
func (b *Backend) Consume(ctx context.Context, g broker.Group, prefetch int) (broker.Stream, error) {
	if err := b.Declare(ctx, g); err != nil {
		return nil, err
	}
	bucket, err := b.openBucket(ctx)
	if err != nil {
		return nil, err
	}
	s := newStream(b, bucket, g, nuid.Next(), prefetch)
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, broker.ErrClosed
	}
	b.streams[s] = true
	b.mu.Unlock()
	if err := s.start(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (b *Backend) openStreams() []*stream {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*stream, 0, len(b.streams))
	for s := range b.streams {
		all = append(all, s)
	}
	return all
}

// Close implements broker.Backend.
func (b *Backend) Close() error {
	b.finish.Do(func() {
		b.mu.Lock()
		b.closed = true
		for c := range b.calls {
			if !c.farewell {
				c.cancel(broker.ErrClosed)
			}
		}
		b.mu.Unlock()
		b.answers.failAll(broker.ErrClosed)
		var leaving sync.WaitGroup
		for _, s := range b.openStreams() {
			leaving.Go(func() { s.leave(broker.ErrClosed) })
		}
		leaving.Wait()
		b.answers.close()
		b.conn.Close()
	})
	return nil
}
