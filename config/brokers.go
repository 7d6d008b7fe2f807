package config

import "time"

// RabbitMQ is the event bus over RabbitMQ.
type RabbitMQ struct {
	// URL of the server: amqp://user:password@host:5672/vhost, or amqps:// for TLS. Required for this backend.
	URL Secret `koanf:"url" default:""`

	// The exchange that events are published to.
	ExchangeName string `koanf:"exchange_name" default:"events" form:"name"`

	// What tells the queues of this service from those of others: the default of event_bus.group.
	QueuePrefix string `koanf:"queue_prefix" default:"events" form:"name"`

	// How many events a handler has taken and not done, at most; event_bus.max_queue_per_subscriber counts where it is
	// smaller.
	PrefetchCount int `koanf:"prefetch_count" default:"10" min:"1" max:"65535"`

	// Keep exchanges, queues and messages over a restart of the server.
	Durable bool `koanf:"durable" default:"true" only:"true" why:"what was confirmed would be lost when the server restarts"`

	// How long one attempt to connect may take, at the start and later.
	Timeout time.Duration `koanf:"timeout" default:"30" unit:"s" min:"1"`

	// How often, at the start, and after which pause it is tried again. Later on lost connections are always made again.
	ReconnectAttempts int           `koanf:"reconnect_attempts" default:"3" min:"0"`
	ReconnectDelay    time.Duration `koanf:"reconnect_delay" default:"1" unit:"s" min:"0"`

	// Log what is published and delivered.
	EnableLogging bool `koanf:"enable_logging" default:"true"`
}

// Kafka is the event bus over Kafka.
type Kafka struct {
	// Hosts with ports, divided by commas or as a list. Required for this backend.
	BootstrapServers []string `koanf:"bootstrap_servers" default:""`

	// The beginning of topics: a dot and event_bus.topic follow, if that is set.
	TopicPrefix string `koanf:"topic_prefix" default:"events" form:"name"`

	// The default of event_bus.group.
	ConsumerGroup string `koanf:"consumer_group" default:"events-consumers" form:"name"`

	// Where a new group begins: with the oldest events that are still there, or with what is published from then on.
	AutoOffsetReset string `koanf:"auto_offset_reset" default:"earliest" enum:"earliest,latest"`

	// Commit the offsets of events whose handlers have succeeded.
	EnableAutoCommit bool `koanf:"enable_auto_commit" default:"true" only:"true" why:"offsets are committed by themselves, after the handlers and never before; there is no call for a program to do it"`

	// How long publishing, and one attempt to connect at the start, may take.
	Timeout time.Duration `koanf:"timeout" default:"30" unit:"s" min:"1"`

	// How often, at the start, and after which pause it is tried again. Later on lost connections are always made again.
	ReconnectAttempts int           `koanf:"reconnect_attempts" default:"3" min:"0"`
	ReconnectDelay    time.Duration `koanf:"reconnect_delay" default:"1" unit:"s" min:"0"`

	// Log what is published and delivered.
	EnableLogging bool `koanf:"enable_logging" default:"true"`

	// User and password, where the brokers ask for them, and how they are shown.
	Username string `koanf:"username" default:""`
	Password Secret `koanf:"password" default:""`
	SASL     string `koanf:"sasl" default:"scram-sha-512" enum:"plain,scram-sha-256,scram-sha-512"`

	// Encrypt connections.
	TLS bool `koanf:"tls" default:"false"`
}

// NATS is the event bus over NATS JetStream.
type NATS struct {
	// URL of the servers: nats://user:password@host:4222, or tls+nats://. Required for this backend.
	URL Secret `koanf:"url" default:""`

	// The JetStream stream that holds all topics, and the beginning of their subjects.
	Stream string `koanf:"stream" default:"lexigram" form:"name"`
	Prefix string `koanf:"prefix" default:"lexigram" form:"name"`

	// How long the wait for an answer of the server may take.
	Timeout time.Duration `koanf:"timeout" default:"5" unit:"s" min:"0.001"`
}
