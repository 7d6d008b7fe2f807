package mongostore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Backend is a store in a MongoDB database.
type Backend struct {
	client   *mongo.Client
	owned    bool // Close disconnects the client
	location string
	options  Options
	db       *mongo.Database
	collections
	clock  clock
	known  atomic.Int64 // the newest head that was seen
	writer *writer
	batch  *batcher
	wake   *wake

	imports importer

	closeOnce sync.Once
	closing   chan struct{} // closed when Close begins

	checked   atomic.Bool // the store is one that this program knows, and server is set
	checkOnly sync.Mutex  // one check at a time
	server    server
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

// closePatience is how long Close lets writes that are on their way finish.
const closePatience = 10 * time.Second

// Open connects to the server that the URL names, and checks the store there. The URL is one of the MongoDB driver's,
// mongodb:// or mongodb+srv://, with all its settings; its path names the database, and the parameter prefix that of the
// collections. Writes are of majority concern and journaled, reads of majority concern and from the primary; a URL that
// asks for less is refused. Close disconnects.
func Open(ctx context.Context, url string, o Options) (*Backend, error) {
	config, err := parseURL(url, &o)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open a mongo store: %w", err)
	}
	client, err := mongo.Connect(config)
	if err != nil {
		return nil, badURL("cannot be used: a setting is not valid")
	}
	b := build(client, o)
	b.owned, b.location = true, strings.Join(config.Hosts, ",")
	if err := b.usable(ctx); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("open the mongo store %s: %w", b.where(), err)
	}
	return b, nil
}

// New makes a Backend over a client of the user's, which Close leaves connected. It does no I/O: the store is checked
// at the first use. The client's read and write concerns do not matter, the store's own are used.
func New(client *mongo.Client, o Options) (*Backend, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("make a mongo store: %w", err)
	}
	b := build(client, o)
	b.location = "a client of the program"
	return b, nil
}

func build(client *mongo.Client, o Options) *Backend {
	journaled := true
	db := client.Database(o.Database, options.Database().
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journaled}))
	b := &Backend{client: client, options: o, db: db, collections: newCollections(db, o.Prefix), closing: make(chan struct{})}
	b.writer = newWriter(b)
	b.batch = newBatcher(b)
	b.wake = newWake(b)
	return b
}

// Close implements store.Backend. Writes that are on their way finish first.
func (b *Backend) Close() error {
	b.closeOnce.Do(func() {
		close(b.closing)
		b.writer.close(closePatience)
		b.batch.close(closePatience)
		b.wake.close()
		if b.owned {
			ctx, cancel := context.WithTimeout(context.Background(), closePatience)
			defer cancel()
			_ = b.client.Disconnect(ctx)
		}
	})
	return nil
}

// usable says why a call cannot be served. At first use it checks the store.
func (b *Backend) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-b.closing:
		return store.ErrClosed
	default:
	}
	if b.checked.Load() {
		return nil
	}
	b.checkOnly.Lock()
	defer b.checkOnly.Unlock()
	if b.checked.Load() {
		return nil
	}
	if err := b.check(ctx); err != nil {
		return translate(ctx, err)
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

// causal gives a context whose reads see at least what its earlier ones saw, whichever server answers. done ends it.
func (b *Backend) causal(ctx context.Context) (causal context.Context, done func(), err error) {
	if !b.server.sessions {
		return ctx, func() {}, nil
	}
	session, err := b.client.StartSession(options.Session().SetCausalConsistency(true))
	if err != nil {
		return nil, nil, translate(ctx, err)
	}
	return mongo.NewSessionContext(ctx, session), func() { session.EndSession(context.WithoutCancel(ctx)) }, nil
}

// where names the store without secrets.
func (b *Backend) where() string {
	return fmt.Sprintf("%s/%s collections %s_…", b.location, b.options.Database, b.options.Prefix)
}

// saw notes a head.
func (b *Backend) saw(head event.Position) {
	for known := b.known.Load(); int64(head) > known; known = b.known.Load() {
		if b.known.CompareAndSwap(known, int64(head)) {
			return
		}
	}
}

// Describe implements store.Backend.
func (b *Backend) Describe(ctx context.Context) (store.Description, error) {
	if err := b.usable(ctx); err != nil {
		return store.Description{}, err
	}
	number, err := b.schemaNumber(ctx)
	if err != nil {
		return store.Description{}, translate(ctx, err)
	}
	d := store.Description{
		Backend: "mongo", Version: b.server.String(), Location: b.where(), Schema: number, Durability: b.server.durability(),
	}
	if number > 0 {
		d.Head, err = b.Head(ctx)
	}
	return d, err
}
