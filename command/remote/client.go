package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/schema"
)

// Client sends commands to a topic and takes the replies. It is safe for concurrent use. Somebody must Run it.
type Client struct {
	broker   *broker.Broker
	registry *schema.Registry
	topic    string
	name     string
	o        ClientOptions
	kinds    map[string]error

	mu      sync.Mutex
	pending map[string]chan broker.Message // by the request's id; each takes one reply
	ready   chan struct{}                  // closed while replies are taken
	stopped chan struct{}                  // closed when the Run that was ready has ended
	running bool
}

// ClientOptions are the settings of a Client; the zero value works.
type ClientOptions struct {
	// Timeout bounds commands whose context has no earlier deadline. Defaults to 30 s.
	Timeout time.Duration

	// Codes are the errors that the server knows by name. Defaults to none beyond those that Codes lists.
	Codes Codes

	// Hooks watch commands, as dispatches of the kind "remote command". Defaults to none.
	Hooks observe.Hooks

	// OnError is told of replies that nobody waits for, which came late or twice, and of faults of the broker. It must be
	// safe for concurrent use. Defaults to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock that deadlines are counted from. Defaults to time.Now.
	Now func() time.Time

	// NewID makes the ids of requests. Defaults to event.NewID.
	NewID func() event.ID
}

func (o ClientOptions) withDefaults() ClientOptions {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Default().Warn("remote commands", slog.Any("error", err)) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = event.NewID
	}
	return o
}

// NewClient makes a client of the server on a topic. The name, of letters, digits, "-" and "_", is this process's, and no
// other's that runs at the same time. Let it stay the same when the process starts again: the broker keeps the topic
// with the replies, and its group, for each name there ever was. It does no I/O.
func NewClient(b *broker.Broker, r *schema.Registry, topic, name string, o ClientOptions) (*Client, error) {
	o = o.withDefaults()
	var faults []error
	if b == nil || r == nil {
		faults = append(faults, errors.New("a broker and a registry of commands are needed"))
	}
	if o.Timeout < 0 {
		faults = append(faults, fmt.Errorf("timeout %v: must not be negative", o.Timeout))
	}
	faults = append(faults, o.Codes.validate())
	c := &Client{
		broker: b, registry: r, topic: topic, name: name, o: o, kinds: o.Codes.kinds(),
		pending: map[string]chan broker.Message{}, ready: make(chan struct{}), stopped: make(chan struct{}),
	}
	if b != nil {
		faults = append(faults, b.CheckGroup(c.group()))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("client %q of commands %q: %w", name, topic, err)
	}
	return c, nil
}

func (c *Client) group() broker.Group {
	topic := replyTopic(c.topic, c.name)
	return broker.Group{Name: topic, Topics: []string{topic}}
}

// Run takes replies until ctx ends, and returns nil. Commands that are on their way then fail with ErrStopped. A broker
// that is unavailable is waited for. It returns an error when the client runs already, and when the broker was closed or
// refuses.
func (c *Client) Run(ctx context.Context) error {
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("run client %s of commands %s: %w", c.name, c.topic, err)
	}
	return nil
}

func (c *Client) run(ctx context.Context) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return ErrRunning
	}
	c.running = true
	c.mu.Unlock()
	defer c.stop()
	consumer, err := broker.NewConsumer(c.broker, c.group(), c.take, broker.ConsumerOptions{
		DeadLetter: func(context.Context, broker.Delivery, error) error { return nil }, // take never fails
		OnError:    c.o.OnError,
	})
	if err != nil {
		return err
	}
	if err := c.declare(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	c.mu.Lock()
	close(c.ready)
	c.mu.Unlock()
	return consumer.Run(ctx)
}

// declare makes the group known, before the first request goes out. It gives nil also when ctx ends before.
func (c *Client) declare(ctx context.Context) error {
	retry := broker.Retry{}.WithDefaults()
	for failures := 1; ; failures++ {
		err := c.broker.Declare(ctx, c.group())
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // what failed because of the end is no error
		case !errors.Is(err, broker.ErrUnavailable):
			return err
		}
		c.o.OnError(fmt.Errorf("client %s of commands %s: %w", c.name, c.topic, err))
		_ = pause(ctx, retry.Pause(failures))
	}
}

// stop ends the waiting of all commands, and lets the client run again.
func (c *Client) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	close(c.stopped)
	c.ready, c.stopped = make(chan struct{}), make(chan struct{})
}

// take hands a reply to who waits for it.
func (c *Client) take(_ context.Context, d broker.Delivery) error {
	id := d.Headers[headerRequest]
	c.mu.Lock()
	waiting := c.pending[id]
	delete(c.pending, id) // a second reply is dropped
	c.mu.Unlock()
	if waiting == nil {
		c.o.OnError(fmt.Errorf("client %s of commands %s: the reply to request %q is dropped: it is late, comes twice, or belongs to another process of this name",
			c.name, c.topic, short(id)))
		return nil
	}
	waiting <- d.Message
	return nil
}

func short(id string) string {
	if len(id) > 64 {
		return id[:64] + "…"
	}
	return id
}
