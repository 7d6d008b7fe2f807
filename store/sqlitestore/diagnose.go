package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/checkup"
	"lexigram.dev/events/store"
)

// largeWAL is a write-ahead log that checkpoints do not keep small any more, in bytes.
const largeWAL = 256 << 20

// Diagnose implements store.Diagnoser.
func (b *Backend) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	if err := b.usable(ctx); err != nil && !errors.Is(err, store.ErrIncompatible) {
		return nil, err
	}
	findings := []checkup.Finding{checkup.Good("version", "SQLite %s", sqlite.Version), b.durability()}
	if _, err := os.Stat(b.path); err != nil {
		return findings, fileError(err)
	}
	mode, err := b.journalMode(ctx)
	if err != nil {
		return findings, err
	}
	return append(findings, mode, b.permissions(), b.walSize(), b.fileSystem()), nil
}

func (b *Backend) durability() checkup.Finding {
	if b.options.Synchronous == Normal {
		return checkup.Finding{
			Check: "durability", Level: checkup.Warn, Found: "synchronous=normal: a loss of power may take the newest commits", Cure: "leave ?synchronous=normal out of the URL",
		}
	}
	return checkup.Good("durability", "flushed to the disk at each commit (synchronous=full)")
}

// journalMode asks with a connection of its own, which works also where the tables are missing or old.
func (b *Backend) journalMode(ctx context.Context) (f checkup.Finding, err error) {
	mode := ""
	err = whileBusy(ctx, b.options.BusyTimeout, func() error {
		c, err := openConn(b.path, sqlite.OpenReadOnly)
		if err != nil {
			return b.cannotOpen(err, os.O_RDONLY)
		}
		err = sqlitex.ExecuteTransient(c.Conn, `pragma journal_mode`, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			mode = stmt.ColumnText(0)
			return nil
		}})
		return errors.Join(err, c.Close())
	})
	if err != nil {
		return f, translate(ctx, err)
	}
	f = checkup.Good("journal mode", "%s", mode)
	if mode != "wal" {
		f.Level, f.Cure = checkup.Fail, fmt.Sprintf("run `lexevents migrate up --store sqlite:%s`; if that does not help, the file lies on a file system without shared memory", b.path)
	}
	return f, nil
}

func (b *Backend) permissions() checkup.Finding {
	for _, path := range []string{b.path, filepath.Dir(b.path)} { // the write-ahead log is made beside the file
		if !writable(path) {
			return checkup.Finding{
				Check: "permissions", Level: checkup.Fail, Found: path + " is not writable for this user", Cure: "chown or chmod the file and its folder: SQLite writes beside the file, too",
			}
		}
	}
	return checkup.Good("permissions", "file and folder are writable")
}

func (b *Backend) walSize() checkup.Finding {
	info, err := os.Stat(b.path + "-wal")
	if err != nil {
		return checkup.Good("write-ahead log", "empty: nobody has the file open for writing")
	}
	f := checkup.Good("write-ahead log", "%d KiB", info.Size()/1024)
	if info.Size() > largeWAL {
		f.Level, f.Cure = checkup.Warn, "find the reader that does not end (a process that hangs in a read): the log cannot be merged into the file while it reads"
	}
	return f
}

func (b *Backend) fileSystem() checkup.Finding {
	free, total, remote, err := space(filepath.Dir(b.path))
	switch {
	case err != nil:
		return checkup.Finding{Check: "free space", Level: checkup.Warn, Found: "not known: " + err.Error(), Cure: "look at the disk by other means"}
	case remote:
		return checkup.Finding{
			Check: "file system", Level: checkup.Fail, Found: "the file lies on a network file system, where SQLite's locks and shared memory cannot be relied on",
			Cure: "move it to a local disk, or use PostgreSQL",
		}
	}
	return checkup.Space(free, total)
}
