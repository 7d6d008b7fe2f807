package redisstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Backend is a store on a Redis server.
type Backend struct {
	reads    redis.UniversalClient // tries again after a lost connection
	writes   redis.UniversalClient // never does: whether a write was done must be known
	options  Options
	location string
	keys     keys
	scripts  scripts
	clock    clock
	writer   *writer
	wake     *wake

	closeOnce sync.Once
	closing   chan struct{} // closed when Close begins

	askingMu sync.Mutex // guards left, and the start of a request against Close
	left     bool       // no further requests
	asking   sync.WaitGroup

	checked   atomic.Bool // the store is one that this program knows
	checkOnly sync.Mutex  // one check at a time
}

var (
	_ store.Backend   = (*Backend)(nil)
	_ store.Waker     = (*Backend)(nil)
	_ store.Truncator = (*Backend)(nil)
	_ store.Migrator  = (*Backend)(nil)

	_ store.Importer     = (*Backend)(nil)
	_ store.BucketLister = (*Backend)(nil)
	_ store.Diagnoser    = (*Backend)(nil)
)

// closePatience is how long Close lets appends that are on their way finish.
const closePatience = 10 * time.Second

// Open connects to the server that the URL names, and checks it and the store. The URL has the form
// redis://user:password@host:6379/0?name=lexigram, with rediss:// for TLS; see Driver. Close closes the connections.
func Open(ctx context.Context, storeURL string, o Options) (*Backend, error) {
	client, err := parseURL(storeURL, &o)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open a redis store: %w", err)
	}
	b, err := build(client, nil, o)
	if err != nil {
		return nil, fmt.Errorf("open a redis store: %w", err)
	}
	if err := b.usable(ctx); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("open the redis store %s: %w", b.location, err)
	}
	return b, nil
}

// New makes a Backend with the settings of a client of the user's: a *redis.Client, made by redis.NewClient or
// redis.NewFailoverClient, or a *redis.ClusterClient. It opens connections of its own and leaves the client alone. It
// does no I/O: server and store are checked at the first use.
func New(client redis.UniversalClient, o Options) (*Backend, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("make a redis store: %w", err)
	}
	var single *redis.Options
	var cluster *redis.ClusterOptions
	switch c := client.(type) {
	case *redis.Client:
		single = c.Options()
	case *redis.ClusterClient:
		cluster = c.Options()
	default:
		return nil, fmt.Errorf("make a redis store: %w", &kindError{kind: store.ErrInvalid, err: fmt.Errorf("a %T is neither a *redis.Client nor a *redis.ClusterClient", client)})
	}
	b, err := build(single, cluster, o)
	if err != nil {
		return nil, fmt.Errorf("make a redis store: %w", err)
	}
	return b, nil
}

// build makes the clients from the options of one server or of a cluster.
func build(single *redis.Options, cluster *redis.ClusterOptions, o Options) (*Backend, error) {
	texts, err := loadScripts()
	if err != nil {
		return nil, err
	}
	b := &Backend{options: o, keys: keysOf(o.Name), scripts: texts, closing: make(chan struct{})}
	if cluster != nil {
		ours := *cluster
		ours.Addrs = slices.Clone(cluster.Addrs)
		ours.ContextTimeoutEnabled = true
		b.location = fmt.Sprintf("cluster %v store %s", ours.Addrs, o.Name)
		b.reads = redis.NewClusterClient(&ours)
		writes := ours
		writes.MaxRetries, writes.ReadOnly = -1, false
		b.writes = redis.NewClusterClient(&writes)
	} else {
		ours := *single
		ours.ContextTimeoutEnabled = true
		ours.DialerRetries = 1 // we wait for a server that was lost by rules of our own
		ours.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		b.location = fmt.Sprintf("%s/%d store %s", ours.Addr, ours.DB, o.Name)
		b.reads = redis.NewClient(&ours)
		writes := ours
		writes.MaxRetries = -1
		b.writes = redis.NewClient(&writes)
	}
	b.writer = newWriter(b)
	b.wake = newWake(b)
	return b, nil
}

// Close implements store.Backend. Appends that are on their way finish first.
func (b *Backend) Close() (err error) {
	b.closeOnce.Do(func() {
		close(b.closing)
		b.writer.close(closePatience)
		b.wake.close()
		b.askingMu.Lock()
		b.left = true
		b.askingMu.Unlock()
		b.asking.Wait()
		if err = b.reads.Close(); err != nil {
			_ = b.writes.Close()
			return
		}
		err = b.writes.Close()
	})
	return err
}

// enter counts a request that Close has to wait for; false when it is too late for one.
func (b *Backend) enter() bool {
	b.askingMu.Lock()
	defer b.askingMu.Unlock()
	if b.left {
		return false
	}
	b.asking.Add(1)
	return true
}

// usable says why a call cannot be served. At first use it checks server and store.
func (b *Backend) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-b.closing:
		return store.ErrClosed
	default:
	}
	if b.options.Pending || b.checked.Load() {
		return nil
	}
	b.checkOnly.Lock()
	defer b.checkOnly.Unlock()
	if b.checked.Load() {
		return nil
	}
	if err := b.check(ctx); err != nil {
		return err
	}
	b.checked.Store(true)
	return nil
}

// writable is usable for calls that write.
func (b *Backend) writable(ctx context.Context) error {
	if b.options.ReadOnly {
		return readOnly()
	}
	return b.usable(ctx)
}

// node gives the client of the one server that holds the store.
func (b *Backend) node(ctx context.Context, client redis.UniversalClient) (*redis.Client, error) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, b.keys.meta)
	}
	return client.(*redis.Client), nil
}

// Describe implements store.Backend.
func (b *Backend) Describe(ctx context.Context) (store.Description, error) {
	if err := b.usable(ctx); err != nil {
		return store.Description{}, err
	}
	s, err := b.askServer(ctx)
	if err != nil {
		return store.Description{}, b.explain(ctx, err)
	}
	d := store.Description{Backend: "redis", Version: s.Name + " " + s.Version, Location: b.location, Durability: s.Durability(things)}
	if b.options.WaitReplicas > 0 {
		d.Durability += fmt.Sprintf("; received by %d replicas before it is acknowledged", b.options.WaitReplicas)
	}
	m, err := b.readMeta(ctx)
	if err != nil {
		return store.Description{}, b.explain(ctx, err)
	}
	d.Schema, d.Head = m.schema, m.head
	return d, nil
}

// Head implements store.Log.
func (b *Backend) Head(ctx context.Context) (event.Position, error) {
	if err := b.usable(ctx); err != nil {
		return 0, err
	}
	m, err := b.readMeta(ctx)
	if err == nil && m.program == "" {
		err = serverError(errNoStore)
	}
	if err != nil {
		return 0, b.explain(ctx, err)
	}
	return m.head, nil
}
