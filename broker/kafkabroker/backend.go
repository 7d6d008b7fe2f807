package kafkabroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"lexigram.dev/events/broker"
)

// Backend implements broker.Backend and broker.Gauge. It holds one client for publishing and asking, and one for each
// stream. It is safe for concurrent use.
type Backend struct {
	o          Options
	maxMessage int // for Features
	client     *kgo.Client
	admin      *kadm.Client
	known      sync.Map // topics that are there: name → true
	buffer     budget
	closing    chan struct{} // closed by Close

	mu      sync.Mutex
	closed  bool
	streams map[*stream]bool
	members map[string]int // static members by name; see instanceID
}

// A batch of records has a head, and so has each record: what a message may have on top of what its sender counts.
const recordOverhead = 8 << 10

// maxBuffered bounds the bytes that are being published at the same time; publishers wait for room.
const maxBuffered = 64 << 20

// Open connects to a cluster, trying again until ctx ends where it cannot be reached: then the error is an
// ErrUnavailable that says why. Wrong credentials and certificates are an ErrRefused at once.
func Open(ctx context.Context, o Options) (*Backend, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open a Kafka broker: %w", err)
	}
	b := &Backend{
		o: o, maxMessage: o.MaxMessageBytes, closing: make(chan struct{}), buffer: budget{limit: maxBuffered},
		streams: map[*stream]bool{}, members: map[string]int{},
	}
	if err := b.connect(ctx); err != nil {
		return nil, fmt.Errorf("open a Kafka broker at %s: %w", b.location(), err)
	}
	client, err := b.newClient(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), // what gathers while a request is on its way makes the next batch
		kgo.ProducerBatchMaxBytes(int32(o.MaxMessageBytes+recordOverhead)), //nolint:gosec // at most 100 MiB
		kgo.MaxBufferedRecords(1<<20),                                      // our own budget is far below, and its waiters hear of their contexts
		kgo.RecordPartitioner(spread{}),
		kgo.UnknownTopicRetries(10), // a topic that was just created is not known to each broker at once
	)
	if err != nil {
		return nil, fmt.Errorf("open a Kafka broker: %w", &kindError{broker.ErrInvalid, err})
	}
	b.client, b.admin = client, kadm.NewClient(client)
	b.learnLimit(ctx)
	return b, nil
}

// connect asks the cluster until it answers, refuses, or ctx ends.
func (b *Backend) connect(ctx context.Context) error {
	// A client of its own, that tries once and tells what it has seen.
	client, err := kgo.NewClient(append(b.common(), kgo.RequestRetries(0))...)
	if err != nil {
		return &kindError{broker.ErrInvalid, err}
	}
	defer client.Close()
	last := errors.New("no answer")
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := client.Ping(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if errors.Is(kindOf(err), broker.ErrRefused) {
			return &kindError{broker.ErrRefused, err}
		}
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			last = err
		}
		if !pause(ctx, wait) {
			return &kindError{broker.ErrUnavailable, fmt.Errorf("%w; the last attempt: %w", ctx.Err(), last)}
		}
	}
}

// learnLimit asks for message.max.bytes, so that oversize messages are refused before they are sent. A user who may not
// ask is told by the broker in the end.
func (b *Backend) learnLimit(ctx context.Context) {
	if limit, err := strconv.Atoi(b.brokerConfig(ctx)["message.max.bytes"]); err == nil {
		b.maxMessage = max(1, min(b.maxMessage, limit-recordOverhead))
	}
}

// newClient makes a client that works on through faults of the network.
func (b *Backend) newClient(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(append(b.common(), kgo.AlwaysRetryEOF()), more...)...) // Open has found TLS and SASL right
}

// common gives the settings that all clients have.
func (b *Backend) common() []kgo.Opt {
	options := []kgo.Opt{
		kgo.SeedBrokers(b.o.Brokers...),
		kgo.ClientID(b.o.ClientID),
		kgo.Dialer(b.dial),
		kgo.MetadataMinAge(250 * time.Millisecond), // a new leader is found so soon; the default is 5 s
		kgo.MetadataMaxAge(time.Minute),            // and new partitions so soon; the default is 5 min
		kgo.DisableClientMetrics(),
	}
	if mechanism := b.mechanism(); mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	return options
}

func (b *Backend) mechanism() sasl.Mechanism {
	switch b.o.SASL {
	case saslPlain:
		return plain.Auth{User: b.o.User, Pass: b.o.Password}.AsMechanism()
	case scramSHA256:
		return scram.Auth{User: b.o.User, Pass: b.o.Password}.AsSha256Mechanism()
	case scramSHA512:
		return scram.Auth{User: b.o.User, Pass: b.o.Password}.AsSha512Mechanism()
	}
	return nil
}

func (b *Backend) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := b.o.Dial(ctx, network, addr)
	if err != nil || b.o.TLS == nil {
		return conn, err
	}
	config := b.o.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// Features implements broker.Backend.
func (b *Backend) Features() broker.Features {
	return broker.Features{Ordered: true, Durable: true, Replay: true, MaxMessageBytes: b.maxMessage}
}

// check gives the reason why a call is not begun.
func (b *Backend) check(ctx context.Context) error {
	select {
	case <-b.closing:
		return broker.ErrClosed
	default:
		return ctx.Err()
	}
}

// Close implements broker.Backend. It takes a few seconds at most, also when the broker does not answer.
func (b *Backend) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	close(b.closing)
	streams := make([]*stream, 0, len(b.streams))
	for s := range b.streams {
		streams = append(streams, s)
	}
	b.mu.Unlock()
	var leaving sync.WaitGroup
	for _, s := range streams {
		leaving.Go(func() { s.end(broker.ErrClosed) })
	}
	leaving.Wait()
	b.client.Close()
	return nil
}

// add notes a stream, so that Close finds it, and gives its name as a static member.
func (b *Backend) add(s *stream) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return broker.ErrClosed
	}
	b.streams[s] = true
	return nil
}

func (b *Backend) remove(s *stream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.streams, s)
	if s.instance != "" {
		delete(b.members, s.group.Name+"/"+s.instance)
	}
}

// instanceID gives a member of a group its name as a static member: the one of the options, with a number where this
// process has several members in the group.
func (b *Backend) instanceID(group string) string {
	if b.o.InstanceID == "" {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := 1; ; n++ {
		id := b.o.InstanceID
		if n > 1 {
			id += "-" + strconv.Itoa(n)
		}
		if b.members[group+"/"+id] == 0 {
			b.members[group+"/"+id] = 1
			return id
		}
	}
}
