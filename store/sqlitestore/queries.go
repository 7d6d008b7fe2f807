package sqlitestore

// The SQL of the hot paths, each statement beside the index it needs. Statements that take a filter are put together
// in filter.go from fragments.
const (
	sqlBegin    = `begin immediate`
	sqlCommit   = `commit`
	sqlRollback = `rollback`

	// Grows whenever another connection has committed; needs no index and no I/O.
	sqlDataVersion = `pragma data_version`

	sqlUserVersion = `pragma user_version`

	// Three facts in one statement, hence of one moment: another process may be creating the tables.
	sqlInspect = `select application_id, user_version, (select count(*) from sqlite_master) from pragma_application_id, pragma_user_version`

	// events: the end of the rowid tree.
	sqlHead = `select max(position) from events`

	// events_stream_version, then the row.
	sqlTail = `select version, type from events where stream = ? order by version desc limit 1`

	// events_id, then the row.
	sqlByID = `select ` + eventColumns + ` from events where id = ?`

	sqlInsertEvent = `insert into events (` + eventColumns + `) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlInsertTag   = `insert or ignore into event_tags (tag, position) values (?, ?)`

	// Undoes an append inside a transaction; the rowid tree.
	sqlDeleteFrom = `delete from events where position >= ?`

	// events_stream_version: the rows are found in the index, in order.
	sqlStreamForward  = `select ` + eventColumns + ` from events where version between ?1 and ?2 and stream = ?4 order by version limit ?3`
	sqlStreamBackward = `select ` + eventColumns + ` from events where version between ?1 and ?2 and stream = ?4 order by version desc limit ?3`
	sqlStreamVersion  = `select max(version) from events where stream = ?`

	// events: the rowid tree. The reader stops by itself at the page's or the read's end, which saves the two checks of
	// each row that a limit and a bound cost. The filtered forms are made in filter.go.
	sqlLogForward  = `select ` + eventColumns + ` from events where position >= ?1 order by position`
	sqlLogBackward = `select ` + eventColumns + ` from events where position <= ?1 order by position desc`

	// events_stream_version, twice, then two rows.
	sqlStreamInfo = `select l.version, f.version, l.position, f.recorded_at, l.recorded_at, l.type
from (select version, position, recorded_at, type from events where stream = ?1 order by version desc limit 1) l,
     (select version, recorded_at from events where stream = ?1 order by version limit 1) f`

	// events_stream_version: leaps from stream to stream, so the cost is that of the streams, not of their events.
	sqlStreams = `with recursive names (name) as (
    select (select min(stream) from events where stream > ?1 and stream < ?2)
    union all
    select (select min(stream) from events where stream > name and stream < ?2) from names where name is not null limit ?3
) select name from names where name is not null`

	// events_stream_version, from the oldest up; the newest is never among them.
	sqlOldest = `select position, tags from events where stream = ? and version < ? order by version`

	sqlDeleteEvent = `delete from events where position = ?`
	sqlDeleteTag   = `delete from event_tags where tag = ? and position = ?`

	// records_bucket_key.
	sqlGetRecord  = `select revision, expires_at, value from records where bucket = ? and key = ?`
	sqlRevisionOf = `select revision, expires_at from records where bucket = ? and key = ?`
	sqlPutRecord  = `insert into records (bucket, key, revision, expires_at, value) values (?, ?, ?, ?, ?)
on conflict (bucket, key) do update set revision = excluded.revision, expires_at = excluded.expires_at, value = excluded.value`
	sqlDeleteRecord = `delete from records where bucket = ? and key = ?`
	sqlScanForward  = `select key, revision, expires_at, value from records
where bucket = ?1 and key >= ?2 and key < ?3 and (expires_at is null or expires_at > ?4) order by key limit ?5`
	sqlScanBackward = `select key, revision, expires_at, value from records
where bucket = ?1 and key >= ?2 and key < ?3 and (expires_at is null or expires_at > ?4) order by key desc limit ?5`

	// records_expires_at.
	sqlSweep = `delete from records where rowid in (select rowid from records where expires_at <= ? limit 256)`

	// The primary key of counters.
	sqlRevision    = `select value from counters where name = 'revision'`
	sqlSetRevision = `update counters set value = ? where name = 'revision'`

	sqlSavepoint       = `savepoint request`
	sqlRelease         = `release request`
	sqlRollbackRequest = `rollback to request`
)

// eventColumns are the columns of an event, in the order of the constants below.
const eventColumns = `position, stream, version, type, schema_version, content_type, id, occurred_at, recorded_at, tags, metadata, data`

// Places of the columns in a result row. As parameters of an insert they count from 1.
const (
	colPosition = iota
	colStream
	colVersion
	colType
	colSchemaVersion
	colContentType
	colID
	colOccurredAt
	colRecordedAt
	colTags
	colMetadata
	colData
)
