package pgstore

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/checkup"
)

// facts are what Diagnose asks a server for, beside what askServer does.
type facts struct {
	now                  time.Time
	recovery             bool
	connections, allowed int
	frozenAge            int64    // transactions since the oldest row was frozen
	forbidden            []string // tables of the store that the user may not read or append to
	asked, answered      time.Time
}

// Diagnose implements store.Diagnoser.
func (b *Backend) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	var (
		s server
		f facts
	)
	err := b.withPool(ctx, func(conn *pgx.Conn) (err error) {
		if s, err = askServer(ctx, conn); err != nil {
			return err
		}
		f.asked = time.Now()
		if err := conn.QueryRow(ctx, `select clock_timestamp()`).Scan(&f.now); err != nil {
			return err
		}
		f.answered = time.Now()
		return conn.QueryRow(ctx, b.sql.in(sqlDiagnose)).Scan(&f.recovery, &f.connections, &f.allowed, &f.frozenAge, &f.forbidden)
	})
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return append(s.findings(), f.findings(b.options.Schema)...), nil
}

// findings judges the server's version and settings.
func (s server) findings() []checkup.Finding {
	version := checkup.Good("version", "PostgreSQL %s", s.version)
	if err := s.check(); err != nil {
		version.Level, version.Found, version.Cure = checkup.Fail, err.Error(), "use PostgreSQL 13 or newer, with a database of encoding UTF8"
	}
	durability := checkup.Good("durability", "%s", s.durability())
	switch {
	case s.fsync != "on":
		durability.Level, durability.Cure = checkup.Fail, "set fsync = on in postgresql.conf and reload"
	case s.synchronousCommit == "off":
		durability.Level, durability.Cure = checkup.Fail, "set synchronous_commit = on for the server, the database or the role"
	case s.fullPageWrites != "on":
		durability.Level, durability.Cure = checkup.Warn, "set full_page_writes = on, unless the file system never tears a page (ZFS)"
	}
	return []checkup.Finding{version, durability}
}

func (f facts) findings(schema string) []checkup.Finding {
	permissions := checkup.Good("permissions", "may read and append")
	switch {
	case f.recovery:
		permissions.Level, permissions.Found, permissions.Cure = checkup.Fail, "the server is a standby: it accepts no writes", "name the primary, or add target_session_attrs=read-write and all hosts to the URL"
	case len(f.forbidden) > 0:
		permissions.Level, permissions.Found = checkup.Fail, "may not read and append to "+strings.Join(f.forbidden, ", ")
		permissions.Cure = "as the owner: grant usage on schema " + schema + " to …; grant select, insert, update, delete on all tables in schema " + schema + " to …; " +
			"grant usage on all sequences in schema " + schema + " to …"
	}
	connections := checkup.Good("connections", "%d of %d in use", f.connections, f.allowed)
	if f.connections*10 > f.allowed*9 {
		connections.Level, connections.Cure = checkup.Warn, "lower pool_max_conns of the programs, put PgBouncer (session mode) between, or raise max_connections"
	}
	age := checkup.Good("vacuum", "the oldest row was frozen %d million transactions ago", f.frozenAge/1_000_000)
	if f.frozenAge > 1_000_000_000 {
		age.Level, age.Cure = checkup.Warn, "find out why autovacuum does not freeze (an old transaction, a replication slot): at 2 billion the server stops accepting writes"
	}
	return []checkup.Finding{permissions, checkup.Clock(f.now, f.asked, f.answered), connections, age}
}
