package sqlitestore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/store"
)

// applicationID marks a SQLite file as a store: "Lexi" in ASCII.
const applicationID = 0x4c657869

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the tables. Its number is what user_version is after it.
type migration struct {
	number int
	name   string
	script string
}

// migrations gives the embedded steps, 1, 2, 3….
func migrations() []migration {
	entries, err := fs.ReadDir(migrationFiles, "migrations") // in the order of their names
	if err != nil {
		panic(err) // the files are part of the program
	}
	steps := make([]migration, len(entries))
	for i, entry := range entries {
		script, err := fs.ReadFile(migrationFiles, "migrations/"+entry.Name())
		if err != nil {
			panic(err)
		}
		number, name, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		n, err := strconv.Atoi(number)
		if err != nil || n != i+1 {
			panic("migration " + entry.Name() + " is out of order")
		}
		steps[i] = migration{number: n, name: name, script: string(script)}
	}
	return steps
}

// Migrations implements store.Migrator.
func (b *Backend) Migrations(ctx context.Context) ([]store.Migration, error) {
	if err := b.usableForMigrations(ctx); err != nil {
		return nil, err
	}
	version, err := b.schemaVersion(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("read the version of the tables of %s: %w", b.path, translate(ctx, err))
	}
	var list []store.Migration
	for _, step := range migrations() {
		list = append(list, store.Migration{Number: step.number, Name: step.name, Applied: step.number <= version})
	}
	return list, nil
}

// Migrate implements store.Migrator. It creates the file if there is none.
func (b *Backend) Migrate(ctx context.Context) ([]store.Migration, error) {
	if err := b.usableForMigrations(ctx); err != nil {
		return nil, err
	}
	if b.options.ReadOnly {
		return nil, fmt.Errorf("%w: the store was opened for reading only", store.ErrReadOnly)
	}
	applied, err := b.migrate(ctx)
	if err != nil {
		return applied, fmt.Errorf("migrate %s: %w", b.path, translate(ctx, err))
	}
	return applied, nil
}

func (b *Backend) usableForMigrations(ctx context.Context) error {
	if err := b.usable(ctx); !errors.Is(err, store.ErrIncompatible) {
		return err
	}
	return nil
}

// migrate applies the missing steps, each in a transaction under SQLite's write lock, so that several processes may
// call it at once: each step is applied by the one that gets there first.
func (b *Backend) migrate(ctx context.Context) (applied []store.Migration, err error) {
	if err := os.MkdirAll(filepath.Dir(b.path), 0o755); err != nil {
		return nil, fileError(err)
	}
	var c *conn
	err = whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
		c, err = openConn(b.path, sqlite.OpenReadWrite|sqlite.OpenCreate, `synchronous = full`)
		return err
	})
	if err != nil {
		return nil, b.cannotOpen(err, os.O_RDWR|os.O_CREATE)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var version int
	err = whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
		if version, err = inspect(c); err != nil || version == len(migrations()) {
			return err
		}
		return c.useWAL() // not before it is known that the file is no other program's
	})
	if err != nil {
		return nil, err
	}
	for _, step := range migrations()[version:] {
		done := false
		err := whileBusy(ctx, b.options.BusyTimeout, func() (err error) {
			done, err = step.apply(c)
			return err
		})
		if err != nil {
			return applied, fmt.Errorf("migration %d (%s): %w", step.number, step.name, err)
		}
		if done {
			applied = append(applied, store.Migration{Number: step.number, Name: step.name, Applied: true})
		}
	}
	return applied, nil
}

// useWAL turns the write-ahead log on. SQLite remembers that in the file.
func (c *conn) useWAL() error {
	mode := ""
	err := sqlitex.ExecuteTransient(c.Conn, `pragma journal_mode = wal`, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		mode = stmt.ColumnText(0)
		return nil
	}})
	if err == nil && mode != "wal" {
		err = fmt.Errorf("%w: the file system does not support SQLite's write-ahead log (journal mode is %s)", store.ErrIncompatible, mode)
	}
	return err
}

// apply does the step, unless another process has done it meanwhile.
func (m migration) apply(c *conn) (done bool, err error) {
	end, err := sqlitex.ImmediateTransaction(c.Conn)
	if err != nil {
		return false, err
	}
	defer end(&err)
	version, err := inspect(c)
	if err != nil || version >= m.number {
		return false, err
	}
	marks := fmt.Sprintf("\n;pragma application_id = %d; pragma user_version = %d;", applicationID, m.number)
	for script := m.script + marks; script != ""; {
		stmt, rest, err := c.PrepareTransient(script)
		if err != nil {
			return false, err
		}
		script = strings.TrimSpace(script[len(script)-rest:])
		if _, err := stmt.Step(); err != nil {
			return false, errors.Join(err, stmt.Finalize())
		}
		if err := stmt.Finalize(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// schemaVersion gives the version of the store in the file; ErrNotFound where there is no file.
func (b *Backend) schemaVersion(ctx context.Context) (version int, err error) {
	if _, err := os.Stat(b.path); err != nil {
		return 0, fileError(err)
	}
	err = whileBusy(ctx, b.options.BusyTimeout, func() error {
		c, err := openConn(b.path, b.openFlags())
		if err != nil {
			return b.cannotOpen(err, os.O_RDWR)
		}
		version, err = inspect(c)
		return errors.Join(err, c.Close())
	})
	return version, err
}

// checkSchema makes sure that the file holds a store of the version that this program knows.
func (b *Backend) checkSchema(ctx context.Context) error {
	cure := fmt.Sprintf("run: lexevents migrate up --store sqlite:%s", b.path)
	version, err := b.schemaVersion(ctx)
	switch known := len(migrations()); {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: to create the store, %s", err, cure)
	case err != nil:
		return err
	case version == 0:
		return fmt.Errorf("%w: the file holds no tables yet; to create them, %s", store.ErrIncompatible, cure)
	case version < known:
		return fmt.Errorf("%w: the tables are of version %d, this program needs %d; %s", store.ErrIncompatible, version, known, cure)
	}
	return nil
}

// inspect gives the version of the store in a file; 0 where the file is empty. It changes nothing, and refuses files of
// other programs and of newer versions of this one.
func inspect(c *conn) (int, error) {
	stmt, err := c.Prepare(sqlInspect)
	if err != nil {
		return 0, err
	}
	if _, err := stmt.Step(); err != nil {
		return 0, err
	}
	id, version, objects := stmt.ColumnInt64(0), stmt.ColumnInt64(1), stmt.ColumnInt64(2)
	if err := stmt.Reset(); err != nil {
		return 0, err
	}
	switch known := int64(len(migrations())); {
	case id == 0 && version == 0 && objects == 0:
		return 0, nil
	case id != applicationID:
		return 0, fmt.Errorf("%w: the file is a SQLite database, but of another program", store.ErrIncompatible)
	case version > known:
		return 0, fmt.Errorf("%w: the tables are of version %d, this program knows %d: use a newer release", store.ErrIncompatible, version, known)
	}
	return int(version), nil
}

// cannotOpen says why SQLite could not open the file in this mode, which it does not tell itself.
func (b *Backend) cannotOpen(err error, mode int) error {
	if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultCantOpen {
		return err
	}
	f, cause := os.OpenFile(b.path, mode, 0o644)
	if cause == nil {
		return errors.Join(err, f.Close())
	}
	return fileError(cause)
}

// fileError gives an error of the file system as one of the port.
func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", store.ErrReadOnly, err)
	default:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
}
