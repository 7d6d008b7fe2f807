package config

import "time"

// Saga is what sagas get that are given to App.AddSagas.
type Saga struct {
	// Run sagas in this process.
	Enabled bool `koanf:"enabled" default:"true"`

	// How long an attempt at a step may take that has no timeout of its own.
	DefaultTimeout time.Duration `koanf:"default_timeout_seconds" default:"300" unit:"s" min:"1"`

	// How often a step is tried again, and the pause before the first of them; compensations begin with it too.
	MaxRetriesPerStep int           `koanf:"max_retries_per_step" default:"3" min:"0"`
	RetryDelay        time.Duration `koanf:"retry_delay_seconds" default:"1" unit:"s" min:"0.1"`

	// Undo the steps of a saga that has failed. False: it stands still, for an operator to decide.
	EnableCompensation bool `koanf:"enable_compensation" default:"true"`

	// Keep the state of sagas in the store.
	PersistState bool `koanf:"persist_state" default:"true" only:"true" why:"a saga that forgot its state in a crash could neither go on nor compensate; for tests use the memory backend"`

	// How long a saga that has ended can be looked at.
	CleanupCompletedAfter time.Duration `koanf:"cleanup_completed_after_hours" default:"24" unit:"h" min:"1"`
}

// Projection is what projections get by App.ProjectionOptions.
type Projection struct {
	// Run projections in this process.
	Enabled bool `koanf:"enabled" default:"true"`

	// After how many events the checkpoint is written, by projections that do not write it with their documents.
	CheckpointInterval int `koanf:"checkpoint_interval" default:"100" min:"1"`

	// The most events that are handled in one unit.
	BatchSize int `koanf:"batch_size" default:"100" min:"1"`

	// How many events an append may handle for an inline projection that was left behind; with more it fails.
	MaxCatchUpEvents int `koanf:"max_catch_up_events" default:"10000" min:"100"`

	// As batch_size, for a read model that is being built.
	RebuildBatchSize int `koanf:"rebuild_batch_size" default:"1000" min:"100"`

	// Run the projections of this process at the same time. False: one batch after the other.
	EnableParallelProjections bool `koanf:"enable_parallel_projections" default:"true"`

	// What is special about single projections: name, enabled (true), rebuild_on_startup (false). One that is not enabled
	// does not run in this process; a name that no projection has is an error at the start.
	ReadModels []ReadModel `koanf:"read_models" default:""`
}

// ReadModel is what is special about one projection.
type ReadModel struct {
	Name             string // of the projection
	Enabled          bool
	RebuildOnStartup bool
}

// Outbox is the relay that brings the events of the log to the event bus.
type Outbox struct {
	// Run it. Events then reach the handlers of the event bus, and other services, without being published by hand. The
	// journals of sagas stay in the log.
	Enabled bool `koanf:"enabled" default:"true"`

	// How often the log is looked at when no wake-up comes.
	PollInterval time.Duration `koanf:"poll_interval" default:"5" unit:"s" min:"0.001"`

	// How many events are on their way to the broker at the same time.
	BatchSize int `koanf:"batch_size" default:"100" min:"1"`

	// The relay's name, under which its place in the log is kept.
	Table string `koanf:"table" default:"outbox" form:"name"`
}

// Streaming is the live feed of the log to people and browsers: App.Stream and App.StreamHandler.
type Streaming struct {
	// How many live events wait for a subscriber. One with more waiting reads the log for itself until it has caught up, and
	// is disconnected when it takes nothing for 10 s.
	BufferSize int `koanf:"buffer_size" default:"1000" min:"100"`

	// How many events are read from the log, and given to a subscriber, at once.
	BatchSize int `koanf:"batch_size" default:"100" min:"1"`

	// How often the log is looked at when no wake-up comes.
	PollInterval time.Duration `koanf:"poll_interval_ms" default:"100" unit:"ms" min:"10ms"`

	// How many subscribers there may be at the same time in this process.
	MaxSubscribers int `koanf:"max_subscribers" default:"100" min:"1"`

	// Serve WebSockets too, beside Server-Sent Events.
	EnableWebSocket bool `koanf:"enable_websocket" default:"true"`

	// How often an idle WebSocket is pinged. One that does not answer within 10 s is closed.
	WebSocketPingInterval time.Duration `koanf:"websocket_ping_interval" default:"30" unit:"s" min:"5"`
}
