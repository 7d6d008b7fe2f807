package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Table names the table of a transactional outbox. Wherever it is used, the same value must be.
type Table struct {
	// Dialect is the database's. Required.
	Dialect Dialect

	// Schema is where the table is. Defaults to "": where the connection's search path leads. It must exist.
	Schema string

	// Name is the table's. Its migrations and, on SQLite, its relay's lease are in tables whose names begin with it.
	// Defaults to "outbox".
	Name string
}

// Dialect is a kind of database.
type Dialect string

// The dialects.
const (
	PostgreSQL Dialect = "postgres"
	SQLite     Dialect = "sqlite"
)

// Tx runs a statement in a transaction; *sql.Tx is one. Package pgxoutbox makes one of a pgx.Tx.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// writeRows is how many messages go into one statement: SQLite allows 32,766 parameters.
const writeRows = 500

// Write adds messages to the outbox, as a part of the caller's transaction: they are published if and when it is
// committed, else they never were. A message without an id gets one; Time is when it was written, by this computer's clock
// unless given.
//
// Messages of one key are published in the order in which they were written. Transactions that write the same key at the
// same time, and do not otherwise exclude each other, have no order.
//
// Wake the relay after the commit, or it sees them within its PollInterval.
func (t Table) Write(ctx context.Context, tx Tx, messages ...broker.Message) error {
	if err := t.validate(); err != nil {
		return fmt.Errorf("write to the outbox: %w", err)
	}
	rows := make([]any, 0, min(len(messages), writeRows)*writeColumns)
	for i, m := range messages {
		row, err := t.row(m)
		if err != nil {
			return fmt.Errorf("write message %d of %d to the outbox: %w", i+1, len(messages), err)
		}
		rows = append(rows, row...)
	}
	for size := writeRows * writeColumns; len(rows) > 0; {
		part := rows[:min(size, len(rows))]
		rows = rows[len(part):]
		if _, err := tx.ExecContext(ctx, t.insert(len(part)/writeColumns), part...); err != nil {
			return fmt.Errorf("write to the outbox %s: %w", t.name(), err)
		}
	}
	return nil
}

// row checks what no relay could ever publish, while somebody still can do something about it.
func (t Table) row(m broker.Message) ([]any, error) {
	if m.ID == "" {
		m.ID = event.NewID().String()
	}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	err := named("id", event.ValidateName(m.ID))
	if err == nil {
		err = named("topic", event.ValidateName(m.Topic))
	}
	if err == nil && m.Key != "" {
		err = named("key", event.ValidateName(m.Key))
	}
	if err != nil {
		return nil, err
	}
	headers, err := encodeHeaders(m.Headers)
	if err != nil {
		return nil, err
	}
	body := m.Body
	if body == nil {
		body = []byte{}
	}
	return []any{m.ID, m.Topic, m.Key, headers, body, m.Time.UnixMicro()}, nil
}

func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", store.ErrInvalid, what, err)
}

func encodeHeaders(headers map[string]string) (string, error) {
	if len(headers) == 0 {
		return "{}", nil
	}
	for name, value := range headers {
		if err := event.ValidateName(name); err != nil {
			return "", named("a header's name", err)
		}
		if value != "" {
			if err := event.ValidateName(value); err != nil {
				return "", named("header "+name, err)
			}
		}
	}
	b, err := json.Marshal(headers)
	return string(b), err
}

// withDefaults fills in the name.
func (t Table) withDefaults() Table {
	if t.Name == "" {
		t.Name = "outbox"
	}
	return t
}

var (
	errDialect = errors.New("must be PostgreSQL or SQLite")
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,39}$`) // PostgreSQL cuts names at 63 bytes
)

func (t Table) validate() error {
	var faults []error
	if t.Dialect != PostgreSQL && t.Dialect != SQLite {
		faults = append(faults, fmt.Errorf("%w: dialect %q: %w", store.ErrInvalid, t.Dialect, errDialect))
	}
	for what, name := range map[string]string{"schema": t.Schema, "name": t.Name} {
		if name != "" && !identifier.MatchString(name) {
			faults = append(faults, fmt.Errorf("%w: %s %q of the outbox table: must be of letters, digits and _, and of at most 40", store.ErrInvalid, what, name))
		}
	}
	return errors.Join(faults...)
}

// name is the quoted name, with its schema.
func (t Table) name() string { return t.named("") }

// named is the quoted name of a table whose name begins with this one's.
func (t Table) named(suffix string) string {
	t = t.withDefaults()
	name := `"` + t.Name + suffix + `"`
	if t.Schema != "" {
		name = `"` + t.Schema + `".` + name
	}
	return name
}

// in puts the names into a statement. An index of PostgreSQL is where its table is; one of SQLite says it, and its table
// does not.
func (t Table) in(sql string) string {
	t = t.withDefaults()
	index, on := `"`+t.Name, t.name()
	if t.Dialect == SQLite {
		index, on = strings.TrimSuffix(t.name(), `"`), `"`+t.Name+`"`
	}
	return strings.NewReplacer(
		"{table}", t.name(), "{index}", index, "{on}", on, "{lease}", t.named("_relay"), "{migrations}", t.named("_migrations"),
	).Replace(sql)
}
