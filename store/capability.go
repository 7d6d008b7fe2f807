package store

import (
	"context"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/event"
)

// Waker is a backend that tells when the log has grown, also through appends of other processes, so that followers
// need not poll often. A wake-up may come late, twice or for nothing, and a broken connection may lose one: a follower
// reads until nothing comes, and polls now and then as a safety net.
type Waker interface {
	// Wake gives a channel that receives after the log has grown; wake-ups coalesce while nobody receives. It is closed
	// when ctx ends or the backend is closed.
	Wake(ctx context.Context) (<-chan struct{}, error)
}

// Transactor is a backend that can append, write records and run the user's own SQL in one transaction.
type Transactor interface {
	// Transact calls fn with a context that carries a transaction: all calls of this backend made with it belong to the
	// transaction, and the driver gives the transaction itself out for the user's SQL (pgstore.Tx, sqlitestore.Tx).
	// It commits when fn returns nil, else it rolls back and returns fn's error. A call inside a transaction joins it.
	//
	// From its first append to its end the transaction holds the log's append lock: other appends wait for it. So
	// append late and commit soon.
	Transact(ctx context.Context, fn func(ctx context.Context) error) error
}

// Copier is a backend that has done with a commit when its Append returns, whatever it returns: it keeps copies only. The
// Store uses the memory of such commits again.
type Copier interface {
	// CopiesCommits does nothing: to have it is the promise.
	CopiesCommits()
}

// Truncator is a backend that can remove old events.
type Truncator interface {
	// Truncate removes the events of the stream whose version is lower than before. The stream keeps its version, and
	// its last event always stays. It returns how many events were removed.
	Truncate(ctx context.Context, stream event.StreamID, before event.Version) (removed int64, err error)

	// Delete ends the stream for ever if it satisfies expected: it appends a tombstone, removes what was before it, and
	// from then on every append to the stream gives ErrStreamDeleted. The result is where the tombstone landed.
	Delete(ctx context.Context, stream event.StreamID, expected Expected) (Result, error)
}

// Migrator is a backend whose tables have a version.
type Migrator interface {
	// Migrations lists every known migration, oldest first.
	Migrations(ctx context.Context) ([]Migration, error)

	// Migrate applies the missing ones, each in a transaction, under a lock that keeps other processes out, and returns
	// those it applied.
	Migrate(ctx context.Context) ([]Migration, error)
}

// Migration is one numbered step of a backend's tables.
type Migration struct {
	Number  int    `json:"number"`
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

// Diagnoser is a backend that can examine its server or file: permissions, clock, settings on which durability hangs, room.
// It changes nothing, and works on a store that was opened with OpenOptions.Pending, too.
type Diagnoser interface {
	Diagnose(ctx context.Context) ([]checkup.Finding, error)
}

// TruncatedBucket is the KV bucket in which a Truncator keeps, by stream, how many events it has removed, as a decimal
// number. The positions of a log are gapless up to exactly these removals, and verification proves it.
const TruncatedBucket = "$truncated"
