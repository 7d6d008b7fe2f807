package sqlitestore

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"
)

// Checkpoints copy the pages of the write-ahead log into the file. They run beside the writer, on a connection of their
// own, so that no append waits for them. But a log that never stops growing is never merged to its end, and only then
// can it be used again from its start; so when it is long, the writer is held for the moment that the rest takes.
const (
	checkpointPages = 4096                   // pages, by the writer's estimate, after which to merge: 16 MiB
	maxMerges       = 4                      // times checkpointPages is the length at which the writer is held
	idleAfter       = 2 * time.Second        // without commits, after which the log is merged
	cutAfter        = time.Minute            // without commits, after which it is cut to nothing: to grow it again is slow
	restartPatience = 100 * time.Millisecond // for readers and other processes' writers, while the writer is held
)

// The ways to merge: beside writers and readers, as far as it goes; to the end, so that the log starts anew; and that
// with the file of the log cut to nothing.
const (
	sqlPassive  = `pragma wal_checkpoint(passive)`
	sqlRestart  = `pragma wal_checkpoint(restart)`
	sqlTruncate = `pragma wal_checkpoint(truncate)`
)

// checkpoint is the checkpointer goroutine. An error of a checkpoint loses nothing and comes back at the next one: the
// log is longer then. If the reason is the disk, appends report it.
func (b *Backend) checkpoint() {
	var c *conn
	defer func() {
		if c != nil {
			_ = c.Close() // the writer's connection, closed later, merges what is left and reports
		}
	}()
	idle, cut := time.NewTimer(idleAfter), time.NewTimer(cutAfter)
	defer idle.Stop()
	defer cut.Stop()
	for {
		due := ""
		select {
		case <-b.closing:
			return
		case <-b.backlog:
			idle.Reset(idleAfter)
			cut.Reset(cutAfter)
		case <-idle.C:
			due = sqlPassive
		case <-cut.C:
			due = sqlTruncate
		}
		if c == nil {
			c, _ = openConn(b.path, sqlite.OpenReadWrite, `synchronous = `+b.options.Synchronous.String())
		}
		switch {
		case c == nil: // later
		case due != "":
			b.unmerged.Store(0)
			merge(c, due)
		case b.unmerged.Load() >= b.options.checkpointPages:
			b.unmerged.Store(0)
			if merge(c, sqlPassive) >= maxMerges*b.options.checkpointPages {
				b.restartLog(c)
			}
		}
	}
}

// restartLog merges the log to its end while this process's writer stands still.
func (b *Backend) restartLog(c *conn) {
	select {
	case w := <-b.turn:
		ctx, cancel := context.WithTimeout(context.Background(), restartPatience)
		defer cancel()
		c.SetBlockOnBusy()
		c.SetInterrupt(ctx.Done())
		merge(c, sqlRestart)
		c.SetInterrupt(nil)
		c.SetBusyTimeout(0)
		b.turn <- w
	case <-b.closing:
	}
}

// merge runs a checkpoint and gives the length of the log in pages; 0 where it is not known.
func merge(c *conn, sql string) (pages int64) {
	stmt, err := c.Prepare(sql)
	if err != nil {
		return 0
	}
	if row, err := stmt.Step(); err != nil || !row {
		return 0
	}
	pages = stmt.ColumnInt64(1)
	_ = stmt.Reset() // a checkpoint has no result that could be lost
	return pages
}
