package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// TableRelay publishes what was written to the table of a transactional outbox. It is safe for concurrent use; any number
// may run, in any number of processes: on PostgreSQL they share the work, on SQLite one works and the others stand by.
type TableRelay struct {
	name    string
	db      *sql.DB
	table   Table
	courier courier
	letters *deadletter.Letters
	o       TableOptions
	weather weather // of the broker
	storm   weather // of the database and the dead letters
	wake    chan struct{}
}

// TableOptions are the settings of a TableRelay; the zero value works.
type TableOptions struct {
	// PollInterval is how often the table is looked at when nobody calls Wake; and how soon requested retries of dead
	// letters are seen. Defaults to 5 s.
	PollInterval time.Duration

	// BatchSize is the greatest number of messages that are published at once. Defaults to 100; at most 1000.
	BatchSize int

	// PublishTimeout bounds each call of the broker. On PostgreSQL a transaction is open meanwhile; on SQLite the relay that
	// stands by takes over after twice as long and PollInterval. Defaults to 30 s.
	PublishTimeout time.Duration

	// Retry says how often a message that fails is tried, and how long an outage of the broker is waited out between two
	// looks; that does not count. Attempts defaults to 8, Initial to 1 s, Max to 1 min: so a message becomes a dead letter
	// after about two minutes, and those behind it in the order of its key wait so long. One that the broker refuses for
	// good does at once.
	Retry broker.Retry

	// Retention is how long messages that were sent stay in the table. Defaults to 24 h.
	Retention time.Duration

	// BacklogAge is how old the oldest message that waits may become before Health gives an error. Defaults to 5 min.
	BacklogAge time.Duration

	// Grace is how long the batch at hand may go on after Run was told to stop. Defaults to 10 s.
	Grace time.Duration

	// OnError is told of each failure; it must be safe for concurrent use. Defaults to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// ErrBacklog is the error for messages that wait for too long.
var ErrBacklog = errcode.New(errcode.Backlog, "messages wait in the outbox for too long")

// NewTableRelay makes a relay. It does no I/O. The name tells it from others in dead letters, where its source is
// "outbox/" and the name.
func NewTableRelay(name string, db *sql.DB, t Table, b *broker.Broker, letters *deadletter.Letters, o TableOptions) (*TableRelay, error) {
	o = o.withDefaults(name)
	if err := errors.Join(validateName(name), t.validate(), o.validate()); err != nil {
		return nil, fmt.Errorf("outbox relay %q: %w", name, err)
	}
	if db == nil || b == nil || letters == nil {
		return nil, fmt.Errorf("outbox relay %q: %w: a database, a broker and dead letters are needed", name, store.ErrInvalid)
	}
	return &TableRelay{
		name: name, db: db, table: t, courier: courier{broker: b, timeout: o.PublishTimeout}, letters: letters, o: o,
		wake: make(chan struct{}, 1),
	}, nil
}

func (o TableOptions) withDefaults(name string) TableOptions {
	o.PollInterval = cmp.Or(o.PollInterval, 5*time.Second)
	o.BatchSize = cmp.Or(o.BatchSize, 100)
	o.PublishTimeout = cmp.Or(o.PublishTimeout, 30*time.Second)
	o.Retry.Attempts = cmp.Or(o.Retry.Attempts, 8)
	o.Retry.Initial = cmp.Or(o.Retry.Initial, time.Second)
	o.Retry.Max = cmp.Or(o.Retry.Max, max(time.Minute, o.Retry.Initial))
	o.Retry = o.Retry.WithDefaults()
	o.Retention = cmp.Or(o.Retention, 24*time.Hour)
	o.BacklogAge = cmp.Or(o.BacklogAge, 5*time.Minute)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Warn("outbox", slog.String("relay", name), slog.Any("error", err)) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o TableOptions) validate() error {
	c := checks{}
	c.check(o.BatchSize > 0 && o.BatchSize <= 1000, "batches of %d messages: must be 1 to 1000", o.BatchSize)
	c.positive("poll interval", o.PollInterval)
	c.positive("publish timeout", o.PublishTimeout)
	c.positive("retention", o.Retention)
	c.positive("backlog age", o.BacklogAge)
	c.positive("grace", o.Grace)
	c.retry(o.Retry)
	return errors.Join(c...)
}

// Name is "outbox-" and the name that was given.
func (r *TableRelay) Name() string { return "outbox-" + r.name }

// Source names the relay in dead letters.
func (r *TableRelay) Source() string { return "outbox/" + r.name }

// Wake makes the relay look at the table now. Call it after a transaction that has written was committed.
func (r *TableRelay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Run publishes until ctx ends, and then returns nil once the batch at hand is done. Faults of the database and of the
// broker are waited out.
func (r *TableRelay) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	// The grace begins when ctx ends.
	defer context.AfterFunc(ctx, func() {
		timer := time.NewTimer(r.o.Grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-work.Done():
		}
	})()
	one := &run{TableRelay: r, owner: event.NewID().String()}
	one.loop(ctx, work)
	return nil
}

// TableStatus is a report on an outbox table.
type TableStatus struct {
	Name     string        `json:"name"`
	Backlog  int64         `json:"backlog"`            // messages that wait
	Oldest   time.Time     `json:"oldest"`             // when the oldest of them was written; zero: none waits
	Age      time.Duration `json:"age_ns"`             // of that
	Broker   *Outage       `json:"broker,omitempty"`   // why this process cannot publish; nil: it can
	Database *Outage       `json:"database,omitempty"` // why this process cannot read or write its state; nil: it can
}

// Status reports. It reads the table; the outages are those of this process.
func (r *TableRelay) Status(ctx context.Context) (TableStatus, error) {
	s := TableStatus{Name: r.name}
	s.Broker, _ = r.weather.outage()
	s.Database, _ = r.storm.outage()
	var oldest int64
	if err := r.db.QueryRowContext(ctx, r.table.in(sqlBacklog)).Scan(&s.Backlog, &oldest); err != nil {
		return s, fmt.Errorf("status of outbox relay %s: %w", r.name, err)
	}
	if s.Backlog > 0 {
		s.Oldest = time.UnixMicro(oldest).UTC()
		s.Age = max(0, r.o.Now().Sub(s.Oldest))
	}
	return s, nil
}

// Health gives an error when the broker or the database does not work, or messages wait for too long (ErrBacklog). It
// reads the table. It suits events.Part.
func (r *TableRelay) Health(ctx context.Context) error {
	s, err := r.Status(ctx)
	if outage, cause := r.weather.outage(); outage != nil {
		err = errors.Join(err, fmt.Errorf("publish, since %s: %w", outage.Since.Format(time.RFC3339), cause))
	}
	if outage, cause := r.storm.outage(); outage != nil {
		err = errors.Join(err, fmt.Errorf("keep the state, since %s: %w", outage.Since.Format(time.RFC3339), cause))
	}
	if s.Age > r.o.BacklogAge {
		err = errors.Join(err, fmt.Errorf("%w: %d, the oldest for %v", ErrBacklog, s.Backlog, s.Age.Round(time.Second)))
	}
	if err != nil {
		return fmt.Errorf("outbox relay %s: %w", r.name, err)
	}
	return nil
}
