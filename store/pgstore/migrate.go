package pgstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/store"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one numbered file.
type migration struct {
	number    int
	name, sql string
}

// migrations gives all, oldest first. The files are named 0001_name.sql.
func migrations() ([]migration, error) {
	entries, err := fs.ReadDir(migrationFiles, "migrations") // sorted by name
	if err != nil {
		return nil, err
	}
	all := make([]migration, len(entries))
	for i, entry := range entries {
		sql, err := migrationFiles.ReadFile("migrations/" + entry.Name())
		if err != nil {
			return nil, err
		}
		number, name, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		if all[i].number, err = strconv.Atoi(number); err != nil || all[i].number != i+1 {
			return nil, fmt.Errorf("migration file %s: its number must be %d", entry.Name(), i+1)
		}
		all[i].name, all[i].sql = name, string(sql)
	}
	return all, nil
}

// check makes sure that the server and the schema are such as this program works with, migrating if so asked.
func (b *Backend) check(ctx context.Context) error {
	known, err := migrations()
	if err != nil {
		return err
	}
	var number int
	err = b.withPool(ctx, func(conn *pgx.Conn) error {
		s, err := askServer(ctx, conn)
		if err == nil {
			err = s.check()
		}
		if err == nil {
			number, err = b.schemaNumber(ctx, conn)
		}
		return err
	})
	switch {
	case err != nil:
		return b.explain(ctx, err)
	case number > len(known):
		return b.tooNew(number, len(known))
	case number == len(known):
		return nil
	case !b.options.AutoMigrate:
		what := fmt.Sprintf("is of version %d, needed is %d", number, len(known))
		if number == 0 {
			what = "holds no store"
		}
		return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("schema %s %s: run `lexevents migrate up --store …`", b.options.Schema, what)}
	}
	_, err = b.migrate(ctx, known)
	return err
}

func (b *Backend) tooNew(number, known int) error {
	return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("schema %s is of version %d, this program knows up to %d: use a newer program", b.options.Schema, number, known)}
}

// withPool runs fn with a connection of the pool, also inside a transaction of ctx.
func (b *Backend) withPool(ctx context.Context, fn func(conn *pgx.Conn) error) error {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return fn(conn.Conn())
}

// schemaNumber gives the number of the last migration; 0 where there is no store.
func (b *Backend) schemaNumber(ctx context.Context, conn *pgx.Conn) (number int, err error) {
	var there bool
	if err := conn.QueryRow(ctx, b.sql.in(sqlHasMigrations)).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = conn.QueryRow(ctx, b.sql.in(sqlMigrationNumber)).Scan(&number)
	return number, err
}

// Migrations implements store.Migrator.
func (b *Backend) Migrations(ctx context.Context) ([]store.Migration, error) {
	known, err := migrations()
	if err != nil {
		return nil, err
	}
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	var number int
	err = b.withPool(ctx, func(conn *pgx.Conn) error {
		number, err = b.schemaNumber(ctx, conn)
		return err
	})
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	list := make([]store.Migration, len(known))
	for i, m := range known {
		list[i] = store.Migration{Number: m.number, Name: m.name, Applied: m.number <= number}
	}
	return list, nil
}

// Migrate implements store.Migrator.
func (b *Backend) Migrate(ctx context.Context) ([]store.Migration, error) {
	if b.options.ReadOnly {
		return nil, readOnly()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-b.closing:
		return nil, store.ErrClosed
	default:
	}
	known, err := migrations()
	if err != nil {
		return nil, err
	}
	err = b.withPool(ctx, func(conn *pgx.Conn) error {
		s, err := askServer(ctx, conn)
		if err != nil {
			return err
		}
		return s.check()
	})
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return b.migrate(ctx, known)
}

func (b *Backend) migrate(ctx context.Context, known []migration) (applied []store.Migration, err error) {
	for {
		m, err := b.migrateOne(ctx, known)
		if err != nil {
			return applied, err
		}
		if m == nil {
			return applied, nil
		}
		applied = append(applied, *m)
	}
}

// migrateOne applies the next missing migration; nil where none is missing. The lock makes processes that migrate at
// once take turns; each looks anew, under the lock, at what is missing.
func (b *Backend) migrateOne(ctx context.Context, known []migration) (applied *store.Migration, err error) {
	err = pgx.BeginTxFunc(ctx, b.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, b.sql.in(sqlMigrationLock)); err != nil {
			return err
		}
		// "create schema if not exists" asks for the right to create schemas also where it exists.
		var there bool
		if err := tx.QueryRow(ctx, b.sql.in(sqlSchemaExists)).Scan(&there); err != nil {
			return err
		}
		if !there {
			if _, err := tx.Exec(ctx, b.sql.in(sqlCreateSchema)); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, b.sql.in(sqlMigrationTable)); err != nil {
			return err
		}
		number, err := b.schemaNumber(ctx, tx.Conn())
		if err != nil || number == len(known) {
			return err
		}
		if number > len(known) {
			return b.tooNew(number, len(known))
		}
		m := known[number]
		if _, err := tx.Conn().PgConn().Exec(ctx, b.sql.in(m.sql)).ReadAll(); err != nil {
			return fmt.Errorf("migration %d (%s): %w", m.number, m.name, err)
		}
		applied = &store.Migration{Number: m.number, Name: m.name, Applied: true}
		_, err = tx.Exec(ctx, b.sql.in(sqlMigrationRecord), m.number, m.name)
		return err
	})
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return applied, nil
}
