package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"zombiezen.com/go/sqlite"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// Backend is a store in a SQLite file. It is safe for concurrent use, and so is the file for several processes.
type Backend struct {
	path    string
	options Options

	queue   *groupcommit.Queue // appends on their way to the writer goroutine
	turn    chan *writer       // holds the one writer; who takes it out may write until he puts it back
	readers chan *conn         // holds the free readers; nil stands for one that is not open yet
	applies applyQueue
	wakers  wakers

	backlog  chan struct{} // tells the checkpointer that something was committed
	unmerged atomic.Int64  // pages, by estimate, that were committed since the last checkpoint

	closing    chan struct{} // closed when Close begins
	closeOnce  sync.Once
	closeErr   error
	background sync.WaitGroup // the writer goroutine, the checkpointer

	// beforeCommit, if set, runs in each transaction that appended, right before it commits. For tests alone.
	beforeCommit atomic.Pointer[func()]
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

// Open opens the store in the file at path. The context bounds the opening alone.
func Open(ctx context.Context, path string, o Options) (*Backend, error) {
	b, err := open(ctx, path, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open SQLite store %s: %w", path, translate(ctx, err))
	}
	return b, nil
}

func open(ctx context.Context, path string, o Options) (*Backend, error) {
	if err := errors.Join(o.validate(), checkPath(path)); err != nil {
		return nil, err
	}
	b := &Backend{
		path:    path,
		options: o,
		queue:   groupcommit.New(groupcommit.Options{LingerRequests: 1, ByStream: true}), // the writer waits while it writes, see appendAll
		turn:    make(chan *writer, 1),
		readers: make(chan *conn, o.Readers),
		backlog: make(chan struct{}, 1),
		closing: make(chan struct{}),
	}
	b.wakers.backend = b
	if o.Pending {
		return b, nil
	}
	if o.AutoMigrate {
		if _, err := b.migrate(ctx); err != nil {
			return nil, err
		}
	}
	if err := b.checkSchema(ctx); err != nil {
		return nil, err
	}
	if !o.ReadOnly {
		w, err := openWriter(ctx, b)
		if err != nil {
			return nil, err
		}
		b.turn <- w
		b.background.Go(b.commitBatches)
		b.background.Go(b.checkpoint)
	}
	for range o.Readers {
		b.readers <- nil
	}
	return b, nil
}

// checkPath refuses what cannot be the path of a store's file.
func checkPath(path string) error {
	switch path {
	case "":
		return fmt.Errorf("%w: the path is empty", store.ErrInvalid)
	case ":memory:":
		return fmt.Errorf("%w: use the URL memory: for a store in memory", store.ErrInvalid)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: the path is not that of a file", store.ErrIncompatible)
	}
	return nil
}

// openFlags are those of a connection that does not create the file.
func (b *Backend) openFlags() sqlite.OpenFlags {
	if b.options.ReadOnly {
		return sqlite.OpenReadOnly
	}
	return sqlite.OpenReadWrite
}

// Describe implements store.Backend.
func (b *Backend) Describe(ctx context.Context) (store.Description, error) {
	c, release, err := b.reader(ctx)
	if err != nil {
		return store.Description{}, err
	}
	defer release()
	var schema, head int64
	err = whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
		if schema, err = c.number(sqlUserVersion); err == nil {
			head, err = c.number(sqlHead)
		}
		return err
	})
	if err != nil {
		return store.Description{}, translate(ctx, err)
	}
	location := b.path
	if absolute, err := filepath.Abs(b.path); err == nil {
		location = absolute
	}
	durability := "write-ahead log, flushed to the disk at each commit (synchronous=full)"
	if b.options.Synchronous == Normal {
		durability = "write-ahead log, flushed at checkpoints (synchronous=normal): a loss of power may take the newest commits"
	}
	return store.Description{
		Backend: "sqlite", Version: sqlite.Version, Location: location, Schema: int(schema),
		Durability: durability, Head: event.Position(head),
	}, nil
}

// Close implements store.Backend. Appends that are queued are still stored. When this was the file's last user, the
// write-ahead log is merged into the file and removed.
func (b *Backend) Close() error {
	b.closeOnce.Do(func() {
		close(b.closing)
		b.queue.Close()
		b.background.Wait()
		b.wakers.close()
		if b.options.Pending {
			return
		}
		var failures []error
		for range b.options.Readers { // waits for those that are reading
			if c := <-b.readers; c != nil {
				failures = append(failures, c.Close())
			}
		}
		if !b.options.ReadOnly {
			failures = append(failures, (<-b.turn).Close()) // waits for who is writing
		}
		if err := errors.Join(failures...); err != nil {
			b.closeErr = fmt.Errorf("close SQLite store %s: %w", b.path, translate(context.Background(), err))
		}
	})
	return b.closeErr
}

// usable says why a call cannot be served.
func (b *Backend) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-b.closing:
		return store.ErrClosed
	default:
	}
	if b.options.Pending {
		return fmt.Errorf("%w: the store was opened for migrations alone", store.ErrIncompatible)
	}
	return nil
}
