package config

import "time"

// CommandBus is about the handling of commands.
type CommandBus struct {
	// Where commands are handled.
	Backend string `koanf:"backend" default:"memory" only:"memory" why:"a command is handled in the process that dispatches it; package command/remote brings commands to others"`

	// How often a command is tried again that has failed by a conflict or an outage. Needs retry_middleware.enabled.
	MaxRetries int `koanf:"max_retries" default:"3" min:"0"`

	// The pause before the first of them.
	RetryDelay time.Duration `koanf:"retry_delay_seconds" default:"1" unit:"s" min:"0.1"`

	// How long a dispatch may take.
	Timeout time.Duration `koanf:"timeout_seconds" default:"30" unit:"s" min:"1"`

	// Whether validation_middleware, logging_middleware and metrics_middleware work on commands.
	EnableValidation bool `koanf:"enable_validation" default:"true"`
	EnableLogging    bool `koanf:"enable_logging" default:"true"`
	EnableMetrics    bool `koanf:"enable_metrics" default:"true"`
}

// QueryBus is about the handling of queries.
type QueryBus struct {
	// Where queries are handled.
	Backend string `koanf:"backend" default:"memory" only:"memory" why:"a query is handled in the process that dispatches it"`

	// How long a dispatch may take.
	Timeout time.Duration `koanf:"timeout_seconds" default:"30" unit:"s" min:"1"`

	// Whether logging_middleware and metrics_middleware work on queries.
	EnableLogging bool `koanf:"enable_logging" default:"true"`
	EnableMetrics bool `koanf:"enable_metrics" default:"true"`

	// Keep the results of queries that have a CacheKey() string; see App.QueryCache.
	EnableCaching bool `koanf:"enable_caching" default:"false"`

	// How long.
	CacheTTL time.Duration `koanf:"cache_ttl_seconds" default:"300" unit:"s" min:"1"`
}

// EventBus is about publishing events, and about their handlers.
type EventBus struct {
	// What carries events to handlers, here or in other processes. All but memory need their section, or a URL.
	Backend string `koanf:"backend" default:"memory" enum:"memory,redis,rabbitmq,kafka,nats"`

	// The topic. On Kafka topic_prefix and a dot go before it; where it is not set, the topic is topic_prefix alone.
	Topic string `koanf:"topic" default:"events" form:"name"`

	// The name under which all processes of this service take events. Where it is not set: on Kafka
	// kafka.consumer_group, on RabbitMQ rabbitmq.queue_prefix, otherwise name.
	Group string `koanf:"group" default:""`

	// How many handlers run at the same time.
	MaxConcurrentHandlers int `koanf:"max_concurrent_handlers" default:"10" min:"1"`

	// How long a handler may take.
	HandlerTimeout time.Duration `koanf:"handler_timeout_seconds" default:"30" unit:"s" min:"1"`

	// Try a handler again that has failed, and how often. The pauses are those of retry_middleware.
	RetryFailedHandlers bool `koanf:"retry_failed_handlers" default:"true"`
	MaxHandlerRetries   int  `koanf:"max_handler_retries" default:"3" min:"0"`

	// Keep events that handlers fail at for good as dead letters. False: they are logged, and gone.
	EnableDeadLetter bool `koanf:"enable_dead_letter" default:"true"`

	// Accept publishing an event that no handler of this process takes; false makes that an error.
	AllowNoHandlers bool `koanf:"allow_no_handlers" default:"true"`

	// Call the handlers of an event each by itself; false: one after the other, in the order of their registration.
	ParallelDispatch bool `koanf:"parallel_dispatch" default:"true"`

	// Go on with the next handler when one has failed for good. False needs parallel_dispatch: false, since handlers that
	// run in parallel do not know of each other.
	ContinueOnError bool `koanf:"continue_on_error" default:"true"`

	// How many events a handler has taken and not done, at most; 0: as many as the broker gives, up to 65,535.
	MaxQueuePerSubscriber int `koanf:"max_queue_per_subscriber" default:"1000" min:"0" max:"65535"`

	Redis BusRedis `koanf:"redis"`
}

// BusRedis is the event bus over Redis or Valkey.
type BusRedis struct {
	// URL of the server, as redis.url, which it defaults to.
	URL Secret `koanf:"url" default:""`

	// The beginning of the names of all keys.
	Prefix string `koanf:"prefix" default:"lexigram" form:"name"`
}

// Handlers is about event handlers as a whole.
type Handlers struct {
	// Call event handlers in this process. False: it only publishes.
	Enabled bool `koanf:"enabled" default:"true"`
}
