package pgstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lexigram.dev/events/store"
)

// Backend is a store in a schema of a PostgreSQL database.
type Backend struct {
	pool    *pgxpool.Pool
	owned   bool // Close closes the pool
	options Options
	sql     queries
	writer  *writer
	wake    *wake

	closeOnce sync.Once
	closing   chan struct{} // closed when Close begins

	checked   atomic.Bool // the schema is one that this program knows
	checkOnly sync.Mutex  // one check at a time
}

var (
	_ store.Backend    = (*Backend)(nil)
	_ store.Waker      = (*Backend)(nil)
	_ store.Transactor = (*Backend)(nil)
	_ store.Truncator  = (*Backend)(nil)
	_ store.Migrator   = (*Backend)(nil)

	_ store.Importer     = (*Backend)(nil)
	_ store.BucketLister = (*Backend)(nil)
	_ store.Diagnoser    = (*Backend)(nil)
)

// closePatience is how long Close lets appends that are on their way finish.
const closePatience = 10 * time.Second

// Open connects to the database that the DSN names, and checks the schema. The DSN is a URL or a list of key=value
// pairs as pgxpool.ParseConfig reads them, TLS and pool settings included; a URL may also name the schema
// (…?schema=name). Close closes the connections.
func Open(ctx context.Context, dsn string, o Options) (*Backend, error) {
	dsn, err := takeSchema(dsn, &o)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open a postgres store: %w", err)
	}
	config, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open a postgres store: %w", translate(ctx, err))
	}
	b := build(pool, o)
	b.owned = true
	if err := b.usable(ctx); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("open the postgres store %s: %w", b.location(), err)
	}
	return b, nil
}

// New makes a Backend over a pool of the user's, which Close leaves open. It does no I/O: the schema is checked at the
// first use, and beside the pool it opens up to three connections with the pool's configuration, when they are needed.
func New(pool *pgxpool.Pool, o Options) (*Backend, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("make a postgres store: %w", err)
	}
	return build(pool, o), nil
}

func build(pool *pgxpool.Pool, o Options) *Backend {
	b := &Backend{pool: pool, options: o, sql: newQueries(o.Schema), closing: make(chan struct{})}
	b.writer = newWriter(b)
	b.wake = newWake(b)
	return b
}

// Close implements store.Backend. Appends that are on their way finish first.
func (b *Backend) Close() error {
	b.closeOnce.Do(func() {
		close(b.closing)
		b.writer.close(closePatience)
		b.wake.close()
		if b.owned {
			b.pool.Close()
		}
	})
	return nil
}

// usable says why a call cannot be served. At first use it checks the schema.
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

// dial opens a connection beside the pool, made as the pool makes its own.
func (b *Backend) dial(ctx context.Context) (*pgx.Conn, error) {
	config := b.pool.Config() // a copy
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, b.explain(ctx, err)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err == nil && config.AfterConnect != nil {
		if err = config.AfterConnect(ctx, conn); err != nil {
			_ = conn.Close(ctx)
		}
	}
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return conn, nil
}

// withConn runs fn with the transaction's connection where ctx has one, else with one of the pool.
func (b *Backend) withConn(ctx context.Context, fn func(conn *pgx.Conn) error) error {
	if t := b.joined(ctx); t != nil {
		return t.use(fn)
	}
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return fn(conn.Conn())
}

// inReadCommitted runs fn in a transaction: that of ctx, or its own. The level matters: what runs after a lock was
// taken must see what its last holder committed, whatever the user's default level is.
func (b *Backend) inReadCommitted(ctx context.Context, fn func(conn *pgx.Conn) error) error {
	if t := b.joined(ctx); t != nil {
		return t.use(fn)
	}
	return pgx.BeginTxFunc(ctx, b.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		return fn(tx.Conn())
	})
}

// location names the store without secrets.
func (b *Backend) location() string {
	c := b.pool.Config().ConnConfig
	return fmt.Sprintf("%s:%d/%s schema %s", c.Host, c.Port, c.Database, b.options.Schema)
}

// Describe implements store.Backend.
func (b *Backend) Describe(ctx context.Context) (store.Description, error) {
	if err := b.usable(ctx); err != nil {
		return store.Description{}, err
	}
	d := store.Description{Backend: "postgres", Location: b.location()}
	err := b.withConn(ctx, func(conn *pgx.Conn) error {
		s, err := askServer(ctx, conn)
		if err != nil {
			return err
		}
		d.Version, d.Durability = s.version, s.durability()
		if d.Schema, err = b.schemaNumber(ctx, conn); err != nil || d.Schema == 0 {
			return err
		}
		return conn.QueryRow(ctx, b.sql.in(sqlHead)).Scan(&d.Head)
	})
	if err != nil {
		return store.Description{}, b.explain(ctx, err)
	}
	return d, nil
}
