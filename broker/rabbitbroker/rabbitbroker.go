package rabbitbroker

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// Broker implements broker.Backend on RabbitMQ. It is safe for concurrent use.
type Broker struct {
	o   Options
	url string
	uri amqp.URI

	// Publishers and consumers have a connection each: a server that is short of memory stops reading from those who
	// publish, and acknowledgements must go on then.
	publishing, consuming *link

	turns  chan struct{} // held by the calls that publish
	closed chan struct{}
	once   sync.Once
	calls  sync.WaitGroup // to the server that nobody waits for any more

	mu      sync.Mutex
	streams map[*stream]bool
	delays  map[time.Duration]bool // whose queues are known to be there
}

// Open connects to the server that the URL names (see Driver), and makes the exchange. It tries again until ctx ends where
// the server cannot be reached; a server that refuses, because of the password, the virtual host or the permissions, gives
// broker.ErrRefused at once.
func Open(ctx context.Context, brokerURL string, o Options) (*Broker, error) {
	clientURL, uri, err := parseURL(brokerURL, &o)
	if err == nil {
		o = o.withDefaults()
		err = o.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("open a rabbitmq broker: %w", err)
	}
	b := &Broker{
		o: o, url: clientURL, uri: uri, closed: make(chan struct{}), turns: make(chan struct{}, maxPublishers), streams: map[*stream]bool{}, delays: map[time.Duration]bool{},
	}
	b.publishing, b.consuming = newLink(b, "publish"), newLink(b, "consume")
	if _, err := b.publishing.connect(ctx, forever); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("open a rabbitmq broker at %s: %w", b.location(), err)
	}
	return b, nil
}

// Features implements broker.Backend.
func (b *Broker) Features() broker.Features {
	return broker.Features{
		Ordered: true, Durable: true, DeliveryCount: true, DelayedRedelivery: true, MaxMessageBytes: b.o.MaxMessageBytes,
	}
}

// Describe implements broker.Backend.
func (b *Broker) Describe(ctx context.Context) (broker.Description, error) {
	var version string
	err := b.withChannel(ctx, b.consuming, func(c *connection, ch *amqp.Channel) error {
		version, _ = c.Properties["version"].(string)
		return ch.ExchangeDeclarePassive(b.o.Exchange, amqp.ExchangeTopic, true, false, false, false, nil)
	})
	if err != nil {
		return broker.Description{}, err
	}
	return broker.Description{
		Broker: "rabbitmq", Version: version, Location: b.location(),
		Durability: "quorum queues: a confirmed message is on the disks of most of the nodes that hold its queue; of one, where there is one",
	}, nil
}

// location is host, port and virtual host.
func (b *Broker) location() string {
	host := net.JoinHostPort(b.uri.Host, strconv.Itoa(b.uri.Port))
	if b.uri.Vhost != "/" {
		host += "/" + b.uri.Vhost
	}
	return host
}

// Close implements broker.Backend.
func (b *Broker) Close() error {
	b.once.Do(func() {
		b.mu.Lock()
		close(b.closed)
		streams := make([]*stream, 0, len(b.streams))
		for s := range b.streams {
			streams = append(streams, s)
		}
		b.mu.Unlock()
		for _, s := range streams {
			s.end(broker.ErrClosed)
		}
		b.publishing.close()
		b.consuming.close()
		for _, s := range streams {
			s.forwarders.Wait()
		}
	})
	b.calls.Wait()
	return nil
}

func (b *Broker) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// begin reports why a call makes no sense.
func (b *Broker) begin(ctx context.Context) error {
	if b.isClosed() {
		return broker.ErrClosed
	}
	return ctx.Err()
}

// withChannel does something with a channel of its own, and gives the error as one of the port's. It returns when ctx ends,
// though f may go on for a while: the client's calls know no contexts.
func (b *Broker) withChannel(ctx context.Context, l *link, f func(c *connection, ch *amqp.Channel) error) error {
	if err := b.begin(ctx); err != nil {
		return err
	}
	c, err := l.connect(ctx, b.o.ReconnectFor)
	if err != nil {
		return err
	}
	err = b.await(ctx, func() error {
		ch, err := c.Channel()
		if err != nil {
			return err
		}
		err = f(c, ch)
		_ = ch.Close() // where f has failed the server has closed it
		return err
	}, func() {})
	return b.translate(ctx, err)
}

// await calls f, and no longer waits for it when ctx ends; undo is called for what f has done by itself then.
func (b *Broker) await(ctx context.Context, f func() error, undo func()) error {
	done := make(chan error)
	started := b.background(func() {
		err := f()
		select {
		case done <- err:
		case <-ctx.Done():
			if err == nil {
				undo()
			}
		}
	})
	if !started {
		return broker.ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// background runs f, which Close waits for. It reports false when the broker is closed.
func (b *Broker) background(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() {
		return false
	}
	b.calls.Go(f)
	return true
}
