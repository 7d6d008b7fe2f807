package outbox

import (
	"strconv"
	"strings"
)

// Times are microseconds since 1970; sent_at and next_at are null where there is none. The indexes are in the migrations.
const (
	// Index outbox_waiting.
	sqlWaiting = `select id, key, coalesce(next_at, 0) from {table} where sent_at is null and id > %d order by id limit %d`

	// Those of some keys at or before an id.
	sqlBefore = `select id, key from {table} where sent_at is null and id <= %d and key in (%s)`

	// After the locks are taken: what another relay has done meanwhile is seen.
	sqlRows = `select id, message_id, topic, key, headers, body, created_at, attempts, coalesce(next_at, 0) from {table}
		where sent_at is null and id in (%s) order by id`

	sqlSent   = `update {table} set sent_at = %d, error = null where id in (%s)`
	sqlFailed = `update {table} set attempts = attempts + 1, next_at = %d, error = $1 where id = %d`
	sqlRemove = `delete from {table} where id in (%s)`

	// Index outbox_sent.
	sqlPrune = `delete from {table} where id in (select id from {table} where sent_at < %d order by sent_at limit %d)`

	sqlBacklog = `select count(*), coalesce(min(created_at), 0) from {table} where sent_at is null`

	// A lock of the transaction for each lane, taken or not: %s is a list of (place, key).
	sqlLockLanes = `select place from (values %s) v(place, lock) where pg_try_advisory_xact_lock(lock)`

	// The lease of the one relay on SQLite. As the first statement of its transaction it also takes the file's write lock.
	sqlTakeLease = `insert into {lease} as l (id, owner, until) values (1, $1, $2)
		on conflict (id) do update set owner = excluded.owner, until = excluded.until where l.owner = excluded.owner or l.until < $3`
	sqlKeepLease    = `update {lease} set until = $1 where id = 1 and owner = $2`
	sqlReleaseLease = `delete from {lease} where id = 1 and owner = $1`

	sqlMigrationTable  = `create table if not exists {migrations} (number integer primary key, name text not null, applied_at bigint not null)`
	sqlMigrationLock   = `select pg_advisory_xact_lock(%d)`          // PostgreSQL
	sqlMigrationWrite  = `delete from {migrations} where number < 0` // SQLite: takes the file's write lock
	sqlMigrationNumber = `select coalesce(max(number), 0) from {migrations}`
	sqlMigrationRecord = `insert into {migrations} (number, name, applied_at) values ($1, $2, $3)`
)

const writeColumns = 6

// insert is the statement that writes n messages.
func (t Table) insert(n int) string {
	var b strings.Builder
	b.WriteString("insert into " + t.name() + " (message_id, topic, key, headers, body, created_at) values ")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for j := range writeColumns {
			if j > 0 {
				b.WriteString(", ")
			}
			b.WriteString("$" + strconv.Itoa(i*writeColumns+j+1))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// list writes ids for an SQL list.
func list(ids []int64) string {
	var b []byte
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(b)
}
