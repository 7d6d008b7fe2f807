package outbox

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"lexigram.dev/events/store"
)

//go:embed migrations
var migrationFiles embed.FS

// migration is one numbered file, such as 0001_outbox.sql.
type migration struct {
	number     int
	name       string
	statements []string
}

func (t Table) migrations() ([]migration, error) {
	folder := "migrations/" + string(t.Dialect)
	entries, err := fs.ReadDir(migrationFiles, folder) // sorted by name
	if err != nil {
		return nil, err
	}
	all := make([]migration, len(entries))
	for i, entry := range entries {
		text, err := migrationFiles.ReadFile(folder + "/" + entry.Name())
		if err != nil {
			return nil, err
		}
		number, name, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		if all[i].number, err = strconv.Atoi(number); err != nil || all[i].number != i+1 {
			return nil, fmt.Errorf("migration file %s: its number must be %d", entry.Name(), i+1)
		}
		all[i].name = name
		for statement := range strings.SplitSeq(t.in(string(text)), ";\n") {
			if strings.TrimSpace(statement) != "" {
				all[i].statements = append(all[i].statements, statement)
			}
		}
	}
	return all, nil
}

// Migrate creates the outbox's tables, or brings them to the version that this program works with. Any number of processes
// may do so at once. It returns what it has applied. The schema must exist.
func (t Table) Migrate(ctx context.Context, db *sql.DB) (applied []store.Migration, err error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("migrate the outbox: %w", err)
	}
	known, err := t.migrations()
	for more := err == nil; more && err == nil; {
		var m *store.Migration
		if m, err = t.migrateOne(ctx, db, known); m != nil {
			applied = append(applied, *m)
		}
		more = m != nil
	}
	if err != nil {
		return applied, fmt.Errorf("migrate the outbox %s: %w", t.name(), err)
	}
	return applied, nil
}

// migrateOne applies the next missing migration; nil where none is missing. Who comes second waits at the lock, and then
// looks what is missing still.
func (t Table) migrateOne(ctx context.Context, db *sql.DB, known []migration) (*store.Migration, error) {
	if t.Dialect == SQLite {
		if _, err := db.ExecContext(ctx, t.in(sqlMigrationTable)); err != nil {
			return nil, err
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	first := []string{fmt.Sprintf(sqlMigrationLock, lockKey(t, "migrations")), t.in(sqlMigrationTable)}
	if t.Dialect == SQLite {
		first = []string{t.in(sqlMigrationWrite)}
	}
	for _, statement := range first {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	var number int
	if err := tx.QueryRowContext(ctx, t.in(sqlMigrationNumber)).Scan(&number); err != nil || number == len(known) {
		return nil, err
	}
	if number > len(known) {
		return nil, fmt.Errorf("%w: it is of version %d, this program knows up to %d: use a newer program", store.ErrIncompatible, number, len(known))
	}
	m := known[number]
	for _, statement := range m.statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("migration %d (%s): %w", m.number, m.name, err)
		}
	}
	if _, err := tx.ExecContext(ctx, t.in(sqlMigrationRecord), m.number, m.name, time.Now().UnixMicro()); err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, err
	}
	return &store.Migration{Number: m.number, Name: m.name, Applied: true}, nil
}
