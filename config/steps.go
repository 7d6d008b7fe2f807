package config

import "time"

// LoggingMiddleware writes one line for each command, query and handled event.
type LoggingMiddleware struct {
	Enabled bool `koanf:"enabled" default:"true"`

	// The level of those that succeed; failures are errors.
	LogLevel string `koanf:"log_level" default:"INFO" enum:"DEBUG|debug,INFO|info,WARN|warn|WARNING|warning,ERROR|error"`

	// Log what is in the message too; passwords, tokens and the like are replaced.
	IncludePayload bool `koanf:"include_payload" default:"false"`

	// How many bytes of it.
	MaxPayloadLength int `koanf:"max_payload_length" default:"1000" min:"100"`
}

// ValidationMiddleware asks messages for their Validate() error, and checks the tags of their fields.
type ValidationMiddleware struct {
	Enabled bool `koanf:"enabled" default:"true"`

	// Refuse a message with faults. False: they are logged, and the message is handled.
	StrictMode bool `koanf:"strict_mode" default:"true"`
}

// TransactionMiddleware handles each command and event in one transaction of the store.
type TransactionMiddleware struct {
	// Where the store has transactions (postgres, sqlite); on others it has no effect.
	Enabled bool `koanf:"enabled" default:"true"`

	// The isolation of transactions.
	IsolationLevel string `koanf:"isolation_level" default:"READ_COMMITTED" only:"READ_COMMITTED" why:"the store checks versions under its own lock, for which a transaction must see what was committed before it got the lock; SQLite's are serializable anyway"`

	// How long a transaction may take, its repetitions included.
	Timeout time.Duration `koanf:"timeout_seconds" default:"30" unit:"s" min:"1"`
}

// RetryMiddleware tries commands and queries again that have failed by a conflict or an outage. Its pauses are also those
// between the attempts of event handlers.
type RetryMiddleware struct {
	Enabled bool `koanf:"enabled" default:"true"`

	// How often; for commands command_bus.max_retries, for event handlers event_bus.max_handler_retries.
	MaxRetries int `koanf:"max_retries" default:"3" min:"0"`

	// The pause before the first further attempt; for commands command_bus.retry_delay_seconds.
	InitialDelay time.Duration `koanf:"initial_delay_seconds" default:"0.1" unit:"s" min:"0.01"`

	// The longest pause.
	MaxDelay time.Duration `koanf:"max_delay_seconds" default:"10" unit:"s" min:"1"`

	// By how much each pause is longer than the one before.
	ExponentialBase float64 `koanf:"exponential_base" default:"2" min:"1.1"`

	// Whether pauses grow at all.
	Backoff string `koanf:"backoff" default:"exponential" enum:"exponential,constant|fixed"`
}

// MetricsMiddleware counts and times what the engine does, for Prometheus; see Options.Metrics.
type MetricsMiddleware struct {
	Enabled bool `koanf:"enabled" default:"true"`

	// The beginning of the names of all metrics.
	Prefix string `koanf:"prefix" default:"events" form:"metric"`

	// Measure durations too, and with which upper bounds, in seconds.
	IncludeHistograms bool      `koanf:"include_histograms" default:"true"`
	HistogramBuckets  []float64 `koanf:"histogram_buckets" default:"0.01,0.05,0.1,0.25,0.5,1,2.5,5,10"`
}

// CircuitBreakerMiddleware refuses messages of a kind that has failed too often in a row, for a while.
type CircuitBreakerMiddleware struct {
	Enabled bool `koanf:"enabled" default:"false"`

	// How many failures in a row open the circuit.
	FailureThreshold int `koanf:"failure_threshold" default:"5" min:"1"`

	// How long it stays open.
	RecoveryTimeout time.Duration `koanf:"recovery_timeout_seconds" default:"30" unit:"s" min:"0.001"`

	// How many successes in a row close it again.
	SuccessThreshold int `koanf:"success_threshold" default:"3" min:"1"`
}
