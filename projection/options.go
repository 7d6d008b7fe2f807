package projection

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/observe"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// Mode says when a projection handles events.
type Mode string

// The modes.
const (
	Async  Mode = "async"  // behind the appends, as a subscription
	Inline Mode = "inline" // in the transaction of each append, on backends that are a store.Transactor
)

// Scope restricts which events a projection sees, beside their types. The fields are ANDed; an empty one does not restrict.
type Scope struct {
	Categories []string         // any of these categories
	Streams    []event.StreamID // any of these streams
	Tags       []event.Tag      // all of these tags
}

// Options are the settings of a Projection; the zero value works.
type Options struct {
	// Version is the version of the handlers and of the read model's shape, from 1. Raise it when either changes: the
	// next generation is then built beside the live one, at start-up, and switched to when it has caught up. Defaults to 1.
	Version int

	// Mode is Async or Inline. Inline makes an append wait for the handlers, and fail when they do. It belongs to the
	// version: to change it, raise Version. Defaults to Async.
	Mode Mode

	// Scope restricts the events beside their types. Defaults to all.
	Scope Scope

	// Partitions is how many parts of the streams are handled at the same time, in one process or several. Each document
	// then belongs to the partition that made it, so its key must depend on the stream alone. A change shows with the
	// next generation. Inline projections have one. Defaults to 1.
	Partitions int

	// BatchEvents is the greatest number of events whose changes are written in one unit. It shrinks by itself where that
	// would be over the store's limits. A document that many events of a batch change is written once, so large batches
	// make catching up fast; several of them are in memory then. Defaults to 20,000.
	BatchEvents int

	// RebuildBatchEvents is BatchEvents while a generation is built, and until this process is started again. Defaults to
	// BatchEvents.
	RebuildBatchEvents int

	// Exclusive is held while a batch is handled and written: projections that share one are handled one at a time in this
	// process. Defaults to nil: at the same time.
	Exclusive sync.Locker

	// DependsOn names projections of the same Set: an event is handled here only after they have handled it.
	DependsOn []string

	// Transaction runs the handlers, for a batch, in one transaction with the checkpoint, so that the user's own SQL
	// (pgstore.Tx, sqlitestore.Tx) counts exactly once. The backend must be a store.Transactor. Defaults to false.
	Transaction bool

	// Create makes what a generation keeps outside of documents, such as tables that are named after its number. It is
	// called whenever a process begins to run the generation, so it must be fine with what is there. With Transaction it
	// runs in one. Defaults to nothing.
	Create func(ctx context.Context, g Generation) error

	// Drop removes what a generation keeps outside of documents; calling it again must be fine. A projection without
	// documents, or with Transaction, can be rebuilt and reset only with it. With Transaction it runs in one. Defaults to
	// nothing.
	Drop func(ctx context.Context, g Generation) error

	// OnSwitch is called when another generation becomes the live one, in the same transaction: the backend must be a
	// store.Transactor. Defaults to nothing.
	OnSwitch func(ctx context.Context, from, to Generation) error

	// KeepPrevious is how many generations before the live one are kept, and kept following. Defaults to 1; negative: none.
	KeepPrevious int

	// CacheDocuments is how many documents of each kind the owner of a partition keeps in memory; the least recently used
	// go. Defaults to 10,000.
	CacheDocuments int

	// InlineCatchUp is how many events an append handles for an inline projection that was left behind by processes that
	// do not run it; with more the append fails. Defaults to 1,000.
	InlineCatchUp int

	// CheckpointEvery and CheckpointInterval say when the checkpoint of a projection without documents and without
	// Transaction is written. Default to 100 and 1 s.
	CheckpointEvery    int
	CheckpointInterval time.Duration

	// PollInterval is how soon requests from other processes (rebuild, pause) are seen, and how often progress is
	// reported. Defaults to 1 s.
	PollInterval time.Duration

	// Lease is how long a partition stays with a process that does not renew. Defaults to 10 s.
	Lease time.Duration

	// Owner names this process in leases and reports. Defaults to the host's name, the process id and a random part.
	Owner string

	// Retry says how a failed event is tried again before Failure applies; see subscription.Options.
	Retry subscription.Retry

	// Failure says what becomes of an event that fails for good. Defaults to parking it when DeadLetters is set, else the
	// projection stops there and is faulted.
	Failure subscription.Failure

	// Skew says what becomes of an event that cannot be decoded since another release wrote it; see subscription.Options.
	Skew subscription.Failure

	// Hooks are told of version skew. Defaults to none.
	Hooks observe.Hooks

	// DeadLetters is where events are parked, under the source "projection/NAME/GENERATION".
	DeadLetters *deadletter.Letters

	// OnProgress is told of each step of a rebuild that this process leads. Defaults to nothing.
	OnProgress func(name string, p Progress)

	// OnError is told of each failed attempt and of each fault of the backend; it must be safe for concurrent use.
	// Defaults to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock of reports. Defaults to time.Now.
	Now func() time.Time
}

func (o Options) withDefaults(name string) Options {
	if o.Version == 0 {
		o.Version = 1
	}
	if o.Mode == "" {
		o.Mode = Async
	}
	if o.Partitions == 0 {
		o.Partitions = 1
	}
	if o.BatchEvents == 0 {
		o.BatchEvents = 20_000
	}
	if o.RebuildBatchEvents == 0 {
		o.RebuildBatchEvents = o.BatchEvents
	}
	if o.KeepPrevious == 0 {
		o.KeepPrevious = 1
	}
	if o.CacheDocuments == 0 {
		o.CacheDocuments = 10_000
	}
	if o.InlineCatchUp == 0 {
		o.InlineCatchUp = 1000
	}
	if o.PollInterval == 0 {
		o.PollInterval = time.Second
	}
	if o.OnError == nil {
		o.OnError = func(err error) {
			slog.Warn("projection", slog.String("name", name), slog.Any("error", err))
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) validate(s *store.Store) error {
	var faults []error
	fault := func(bad bool, text string) {
		if bad {
			faults = append(faults, errors.New(text))
		}
	}
	_, transactor := s.Backend().(store.Transactor)
	fault(o.Version < 1, "the version must be at least 1")
	fault(o.Mode != Async && o.Mode != Inline, "the mode must be async or inline")
	fault(o.Partitions < 1, "the number of partitions must be at least 1")
	fault(o.BatchEvents < 1 || o.RebuildBatchEvents < 1 || o.CacheDocuments < 1 || o.InlineCatchUp < 0, "BatchEvents, RebuildBatchEvents and CacheDocuments must be at least 1, InlineCatchUp at least 0")
	fault(o.PollInterval < 0, "the poll interval must not be negative")
	fault(o.Mode == Inline && !transactor, "inline needs a backend with transactions, which this one does not have: use async, or a backend such as SQLite or PostgreSQL")
	fault(o.Transaction && !transactor, "Transaction needs a backend with transactions, which this one does not have")
	fault(o.OnSwitch != nil && !transactor, "OnSwitch needs a backend with transactions, which this one does not have")
	fault(o.Mode == Inline && o.Partitions > 1, "an inline projection has one partition")
	fault(o.Mode == Inline && len(o.DependsOn) > 0, "an inline projection handles events at once, so it cannot depend on others")
	fault(o.Mode == Inline && (o.DeadLetters != nil || o.Failure != subscription.FailureDefault), "an inline projection refuses the append when a handler fails: it parks nothing")
	return errors.Join(faults...)
}
