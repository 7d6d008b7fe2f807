package config

import "time"

// Postgres is the store in PostgreSQL.
type Postgres struct {
	// URL of the database: postgres://user:password@host:5432/database, with the parameters of pgx. "+asyncpg" and
	// "+psycopg2" in its scheme are ignored. Required for this backend.
	DSN Secret `koanf:"dsn" default:""`

	// Schema of the database that holds the store. Programs that share a store share the schema.
	Schema string `koanf:"schema" default:"lexigram" form:"sql"`

	// Connections that the pool keeps open, and the most that it opens.
	PoolMinSize int `koanf:"pool_min_size" default:"5" min:"1"`
	PoolMaxSize int `koanf:"pool_max_size" default:"20" min:"1"`

	// How long the server may work on one statement (statement_timeout).
	CommandTimeout time.Duration `koanf:"command_timeout" default:"60" unit:"s" min:"1"`

	// Name of the events' table. A store's tables have fixed names in a schema of its own, so another name than events
	// names the schema: two programs with different names have different stores, as they expect.
	EventsTable string `koanf:"events_table" default:"events" form:"sql"`

	// Name of the place of snapshots, which are records in the store: another name than snapshots begins their buckets.
	SnapshotsTable string `koanf:"snapshots_table" default:"snapshots" form:"sql"`

	// Create the schema and its tables, or bring them up to date, when the program starts.
	AutoCreateTables bool `koanf:"auto_create_tables" default:"true"`

	// The most events that one append may store.
	BatchSize int `koanf:"batch_size" default:"4096" min:"1"`
}

// MongoDB is the store in MongoDB.
type MongoDB struct {
	// URL of the server: mongodb:// or mongodb+srv://, with the driver's parameters. Required for this backend.
	ConnectionString Secret `koanf:"connection_string" default:""`

	// The database, where the URL names none.
	DatabaseName string `koanf:"database_name" default:"events" form:"mongo"`

	// Where events are kept: the beginning of the names of the store's collections.
	EventsCollection string `koanf:"events_collection" default:"domain_events" form:"mongo"`

	// Name of the place of snapshots, which are records in the store: another name than snapshots begins their buckets.
	SnapshotsCollection string `koanf:"snapshots_collection" default:"snapshots" form:"mongo"`

	// The most connections that the driver opens to a server.
	MaxPoolSize int `koanf:"max_pool_size" default:"10" min:"1"`

	// How long the driver looks for a server that can serve it.
	ServerSelectionTimeout time.Duration `koanf:"server_selection_timeout" default:"30000" unit:"ms" min:"1ms"`

	// Create the collections and indexes, or bring them up to date, when the program starts.
	AutoCreateIndexes bool `koanf:"auto_create_indexes" default:"true"`
}

// Redis is the store in Redis or Valkey.
type Redis struct {
	// URL of the server: redis://user:password@host:6379/0, or rediss:// for TLS, with the client's parameters. Required
	// for this backend. The event bus uses it too, where event_bus.redis.url is not set.
	URL Secret `koanf:"url" default:""`

	// Name of the store among others on the server.
	Name string `koanf:"name" default:"lexigram" form:"name"`

	// The most connections of the pool.
	PoolSize int `koanf:"pool_size" default:"20" min:"1"`

	// Refuse a server that could lose an acknowledged append in a crash.
	RequireDurable bool `koanf:"require_durable" default:"false"`

	// Make the store when it is not there.
	AutoCreate bool `koanf:"auto_create" default:"true"`
}

// SQLite is the store in a file.
type SQLite struct {
	// Path of the file.
	Database string `koanf:"database" default:"./events.db" form:"some"`

	// Settings of SQLite by name: synchronous (full or normal), busy_timeout (milliseconds), cache_size, mmap_size. Others
	// are the store's own.
	Pragmas map[string]string `koanf:"pragmas" default:""`

	// Write to a log beside the file.
	WALMode bool `koanf:"wal_mode" default:"true" only:"true" why:"the store appends and reads at the same time, which SQLite can in WAL mode alone"`

	// The mode of SQLite's journal.
	JournalMode string `koanf:"journal_mode" default:"WAL" only:"WAL" why:"the store appends and reads at the same time, which SQLite can in WAL mode alone"`

	// Create the file and its tables, or bring them up to date, when the program starts.
	AutoCreateTables bool `koanf:"auto_create_tables" default:"true"`
}

// Memory is the store within the process.
type Memory struct {
	// How long a stream may become; an append beyond that is refused.
	MaxEventsPerStream int `koanf:"max_events_per_stream" default:"10000" min:"100"`

	// Take snapshots on this backend; snapshots.enabled is needed too.
	EnableSnapshots bool `koanf:"enable_snapshots" default:"true"`
}

// Snapshots says when the states of aggregates are kept. It is what App.AggregateOptions gives to repositories.
type Snapshots struct {
	// Take and use snapshots.
	Enabled bool `koanf:"enabled" default:"true"`

	// When: after so many events, when the last one is so old, or only when the program calls Snapshot.
	Strategy string `koanf:"strategy" default:"event_count" enum:"event_count|count,time_based|time,on_demand"`

	// After how many events, with the strategy event_count.
	EventCountThreshold int `koanf:"event_count_threshold" default:"100" min:"10"`

	// After how long, with the strategy time_based.
	TimeThreshold time.Duration `koanf:"time_threshold_seconds" default:"3600" unit:"s" min:"60"`

	// How many snapshots of an aggregate are kept.
	MaxSnapshotsPerAggregate int `koanf:"max_snapshots_per_aggregate" default:"5" min:"1"`
}
