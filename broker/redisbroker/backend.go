package redisbroker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lexigram.dev/events/broker"
)

// Backend is a broker on a Redis server.
type Backend struct {
	client   redis.UniversalClient // never repeats a command: what was published must be known
	options  Options
	location string
	scripts  scripts

	closeOnce sync.Once
	closing   chan struct{} // closed when Close begins

	mu      sync.Mutex // guards what follows
	left    bool       // no further requests
	asking  sync.WaitGroup
	streams map[*stream]bool
	topics  map[string]int // topics and their partitions, as asked for when there had been so many connections as known
	known   int64
	gone    map[memberKey][]string // members that could not say that they leave

	published map[string]int // messages sent to each stream since it was trimmed

	connects atomic.Int64 // connections that were made; a new one may be to a server that has forgotten
	checked  atomic.Bool  // the server is one that will do
	checking sync.Mutex   // one check at a time
}

var (
	_ broker.Backend = (*Backend)(nil)
	_ broker.Gauge   = (*Backend)(nil)
)

// Open connects to the server that the URL names, and checks it. The URL has the form
// redis://user:password@host:6379/0?prefix=lexigram, with rediss:// for TLS; see Driver. A server that cannot be reached
// is tried again until ctx ends. Close closes the connections.
func Open(ctx context.Context, brokerURL string, o Options) (*Backend, error) {
	client, err := parseURL(brokerURL, &o)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open a redis broker: %w", err)
	}
	b, err := build(client, nil, o)
	if err != nil {
		return nil, fmt.Errorf("open a redis broker: %w", err)
	}
	if err := b.connect(ctx); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("open the redis broker %s: %w", b.location, err)
	}
	return b, nil
}

// New makes a Backend with the settings of a client of the user's: a *redis.Client, made by redis.NewClient or
// redis.NewFailoverClient, or a *redis.ClusterClient. It opens connections of its own and leaves the client alone. It
// does no I/O: the server is checked at the first use.
func New(client redis.UniversalClient, o Options) (*Backend, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("make a redis broker: %w", err)
	}
	var single *redis.Options
	var cluster *redis.ClusterOptions
	switch c := client.(type) {
	case *redis.Client:
		single = c.Options()
	case *redis.ClusterClient:
		cluster = c.Options()
	default:
		return nil, fmt.Errorf("make a redis broker: %w", &kindError{kind: broker.ErrInvalid, err: fmt.Errorf("a %T is neither a *redis.Client nor a *redis.ClusterClient", client)})
	}
	b, err := build(single, cluster, o)
	if err != nil {
		return nil, fmt.Errorf("make a redis broker: %w", err)
	}
	return b, nil
}

// build makes the client from the options of one server or of a cluster.
func build(single *redis.Options, cluster *redis.ClusterOptions, o Options) (*Backend, error) {
	texts, err := loadScripts()
	if err != nil {
		return nil, err
	}
	b := &Backend{
		options: o, scripts: texts, closing: make(chan struct{}), streams: map[*stream]bool{}, topics: map[string]int{},
		gone: map[memberKey][]string{}, published: map[string]int{},
	}
	if cluster != nil {
		ours := *cluster
		ours.Addrs = slices.Clone(cluster.Addrs)
		ours.ContextTimeoutEnabled, ours.ReadOnly, ours.MaxRetries = true, false, -1
		ours.OnConnect = b.onConnect(ours.OnConnect)
		b.location = fmt.Sprintf("cluster %v prefix %s", ours.Addrs, o.Prefix)
		b.client = redis.NewClusterClient(&ours)
		return b, nil
	}
	ours := *single
	ours.ContextTimeoutEnabled, ours.MaxRetries = true, -1
	ours.DialerRetries = 1 // we wait for a server that was lost by rules of our own
	ours.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	ours.OnConnect = b.onConnect(ours.OnConnect)
	b.location = fmt.Sprintf("%s/%d prefix %s", ours.Addr, ours.DB, o.Prefix)
	b.client = redis.NewClient(&ours)
	return b, nil
}

// onConnect notes each new connection, after the user's own hook.
func (b *Backend) onConnect(next func(context.Context, *redis.Conn) error) func(context.Context, *redis.Conn) error {
	return func(ctx context.Context, c *redis.Conn) error {
		b.connects.Add(1)
		if next == nil {
			return nil
		}
		return next(ctx, c)
	}
}

// connect checks the server, again and again while it cannot be reached.
func (b *Backend) connect(ctx context.Context) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := b.usable(ctx)
		if err == nil || !passes(err) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// Features implements broker.Backend. Whether it is durable is up to the server's configuration; see Describe.
func (b *Backend) Features() broker.Features {
	return broker.Features{Ordered: true, Durable: true, DeliveryCount: true, DelayedRedelivery: true, Replay: true}
}

// Close implements broker.Backend.
func (b *Backend) Close() (err error) {
	b.closeOnce.Do(func() {
		close(b.closing)
		b.mu.Lock()
		streams := make([]*stream, 0, len(b.streams))
		for s := range b.streams {
			streams = append(streams, s)
		}
		b.mu.Unlock()
		for _, s := range streams {
			s.lose(broker.ErrClosed)
		}
		for _, s := range streams {
			_ = s.leave()
		}
		b.mu.Lock()
		b.left = true
		b.mu.Unlock()
		b.asking.Wait()
		err = b.client.Close()
	})
	return err
}

// enter counts a request that Close has to wait for; false when it is too late for one.
func (b *Backend) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left {
		return false
	}
	b.asking.Add(1)
	return true
}

// during runs fn, which talks to the server, and returns when it does or when ctx ends. The connection is then given
// back when the answer comes or the client's read timeout is over, which Close waits for. What fn sets must not be
// looked at after an error, and what it sends not be changed.
func (b *Backend) during(ctx context.Context, fn func() error) error {
	if !b.enter() {
		return broker.ErrClosed
	}
	if ctx.Done() == nil {
		defer b.asking.Done()
		return fn()
	}
	done := make(chan error, 1)
	go func() {
		defer b.asking.Done()
		done <- fn()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// usable says why a call cannot be served. At first use it checks the server.
func (b *Backend) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-b.closing:
		return broker.ErrClosed
	default:
	}
	if b.checked.Load() {
		return nil
	}
	b.checking.Lock()
	defer b.checking.Unlock()
	if b.checked.Load() {
		return nil
	}
	if err := b.check(ctx); err != nil {
		return err
	}
	b.checked.Store(true)
	return nil
}
