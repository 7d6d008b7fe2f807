package pgstore

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Everything is written out with the schema's name, so that no search_path can lead elsewhere.
const (
	// Append: see migrations/0002_append.sql and 0004_append_begin.sql.
	sqlAppendBegin = `select {{schema}}.append_begin($1, $2, $3, $4, $5, $6)`
	sqlAppendCopy  = `copy {{schema}}.events (id, stream, version, type, schema_version, content_type, data, metadata, tags, occurred_at) from stdin binary`
	// sqlAppendTags runs after the COPY in the same transaction; $2 counts back from the last position that it took.
	sqlAppendTags = `insert into {{schema}}.event_tags (tag, position) select t.tag, currval('{{schema}}.event_position') - t.back from unnest($1::text[], $2::bigint[]) as t(tag, back)`
	sqlAppendOne  = `select {{schema}}.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	sqlAppendMany = `select head, actual, refused, reused, broken, matched from {{schema}}.append_many($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

	eventColumns = `e.position, e.id, e.stream, e.version, e.type, e.schema_version, e.content_type, e.data, e.metadata, e.tags, e.occurred_at, e.recorded_at`

	// By events_id.
	sqlByID = `select ` + eventColumns + ` from {{schema}}.events e where e.id = any ($1)`

	// By events_position; max(position) is a look at its end.
	sqlHead         = `select coalesce(max(position), 0) from {{schema}}.events`
	sqlLogForwards  = `select ` + eventColumns + ` from {{schema}}.events e where e.position >= $1 and e.position <= $2 order by e.position limit $3`
	sqlLogBackwards = `select ` + eventColumns + ` from {{schema}}.events e where e.position >= $1 and e.position <= $2 order by e.position desc limit $3`

	// By events_stream_version.
	sqlStreamVersion   = `select coalesce(max(version), 0) from {{schema}}.events where stream = $1`
	sqlStreamForwards  = `select ` + eventColumns + ` from {{schema}}.events e where e.stream = $4 and e.version >= $1 and e.version <= $2 order by e.version limit $3`
	sqlStreamBackwards = `select ` + eventColumns + ` from {{schema}}.events e where e.stream = $4 and e.version >= $1 and e.version <= $2 order by e.version desc limit $3`

	sqlInfoColumns = `l.version, f.version, l.position, f.recorded_at, l.recorded_at, l.type`
	sqlInfoEnds    = `cross join lateral (select version, recorded_at from {{schema}}.events where stream = s.stream order by version limit 1) f
		cross join lateral (select version, position, recorded_at, type from {{schema}}.events where stream = s.stream order by version desc limit 1) l`
	sqlStreamInfo = `select s.stream, ` + sqlInfoColumns + ` from (select $1::text as stream) s ` + sqlInfoEnds
	// sqlStreams hops from one stream's name to the next greater one, so it costs a look-up for each stream, not a row
	// for each event. $1 is the inclusive start, $2 the exclusive end; empty: none.
	sqlStreams = `with recursive hop (stream) as (
			(select stream from {{schema}}.events where stream >= $1 and ($2 = '' or stream < $2) order by stream limit 1)
			union all
			select (select e.stream from {{schema}}.events e where e.stream > hop.stream and ($2 = '' or e.stream < $2) order by e.stream limit 1)
			  from hop where hop.stream is not null)
		select s.stream, ` + sqlInfoColumns + ` from (select stream from hop where stream is not null limit $3) s ` + sqlInfoEnds + ` order by s.stream`

	sqlTruncate = `select {{schema}}.truncate_stream($1, $2)`

	// Records, by records_bucket_key. The clock is the server's, and goes on inside a transaction.
	sqlApply = `select failed, actual, revisions from {{schema}}.apply_records($1, $2, $3, $4, $5, $6, $7)`
	// sqlApplyMany is for batches that name no record twice.
	sqlApplyMany = `select failed, actual, revisions from {{schema}}.apply_many($1, $2, $3, $4, $5, $6, $7)`
	sqlGet       = `select value, revision, expires_at from {{schema}}.records
		where bucket = $1 and key = $2 and (expires_at is null or expires_at > clock_timestamp())`
	sqlScanForwards = `select key, value, revision, expires_at from {{schema}}.records
		where bucket = $1 and key >= $2 and ($3 = '' or key < $3) and (expires_at is null or expires_at > clock_timestamp()) order by key limit $4`
	sqlScanBackwards = `select key, value, revision, expires_at from {{schema}}.records
		where bucket = $1 and key >= $2 and ($3 = '' or key < $3) and (expires_at is null or expires_at > clock_timestamp()) order by key desc limit $4`

	// sqlNotify does not wait for the disk: a lost notification does no harm.
	sqlNotify = `select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`
	sqlListen = `listen {{schema}}`

	sqlServer = `select current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding'),
		current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes')`

	// What Diagnose asks for. Of the tables those of the store, where there is one.
	sqlDiagnose = `select pg_is_in_recovery(), (select count(*) from pg_stat_activity where backend_type = 'client backend'), current_setting('max_connections')::int,
		(select age(datfrozenxid) from pg_database where datname = current_database()),
		(select array_agg(c.relname::text order by c.relname) from pg_class c where c.relnamespace = to_regnamespace('{{schema}}') and c.relkind in ('r', 'p') and c.relname <> 'migrations'
			and not (has_schema_privilege(c.relnamespace, 'usage') and has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')))`

	// Migrations.
	sqlSchemaExists    = `select to_regnamespace('{{schema}}') is not null`
	sqlCreateSchema    = `create schema {{schema}}`
	sqlHasMigrations   = `select to_regclass('{{schema}}.migrations') is not null`
	sqlMigrationLock   = `select pg_advisory_xact_lock({{lock}}, 2)`
	sqlMigrationTable  = `create table if not exists {{schema}}.migrations (number integer primary key, name text not null, applied_at timestamptz not null default now())`
	sqlMigrationNumber = `select coalesce(max(number), 0) from {{schema}}.migrations`
	sqlMigrationRecord = `insert into {{schema}}.migrations (number, name) values ($1, $2)`
)

// queries gives statements for one schema.
type queries struct{ replacer *strings.Replacer }

func newQueries(schema string) queries {
	h := fnv.New32a()
	_, _ = h.Write([]byte(schema))
	return queries{replacer: strings.NewReplacer(
		"{{schema}}", pgx.Identifier{schema}.Sanitize(),
		"{{lock}}", strconv.Itoa(int(int32(h.Sum32()))), // the class of the store's advisory locks
	)}
}

// in puts the schema's name into a statement.
func (q queries) in(sql string) string { return q.replacer.Replace(sql) }
