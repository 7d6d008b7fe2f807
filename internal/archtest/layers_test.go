// Package archtest holds the tests of the architecture: which package may import which (this file, checked by
// TestLayering), and which modules of others each part pulls in (goldens in testdata, TestDependencies).
//
// A package that is new gets its place in the table below; docs/architecture.md tells what the levels mean.
package archtest

const module = "lexigram.dev/events"

// layers lists every package of the module from the bottom up. A package imports only what stands on an earlier line,
// so never its neighbours on the same line. "." is the module's root.
var layers = [][]string{
	{"errcode", "checkup"}, // L0: what kind of error it is; what a check-up finds
	{"docs/errors"},        // its pages
	{"internal/panics", "internal/netfault", "internal/redisserver", "internal/testserver", "internal/archtest", "internal/docstest"},
	{"event"},                        // L0
	{"schema"},                       // L0, but it fills in event's records
	{"schema/schemalock", "observe"}, // L1
	{"internal/dispatch"},            // what the command and query buses share
	{"store"},                        // L2, the port
	{"store/internal/groupcommit", "deadletter", "internal/lease"}, // what the drivers share; what those above the store share (docs/decisions/0010)
	{"store/memstore", "store/sqlitestore", "store/pgstore", "store/mongostore", "store/redisstore", "store/storetest", "aggregate", "command", "query", "subscription", "broker"},      // L3
	{"internal/everystore", "store/sqlitestore/sqlitebaseline", "store/pgstore/pgbaseline", "store/mongostore/mongobaseline", "store/redisstore/redisbaseline"},                         // what a driver is measured against
	{"broker/redisbroker/redisbaseline", "broker/rabbitbroker/rabbitbaseline", "broker/kafkabroker/kafkabaseline", "broker/natsbroker/natsbaseline"},                                    // what brokers are measured against
	{"broker/membroker", "broker/redisbroker", "broker/rabbitbroker", "broker/kafkabroker", "broker/natsbroker", "broker/watermillbroker", "broker/brokertest", "internal/cloudevents"}, // the drivers of the port; events as messages
	{"aggregate/aggregatetest", "eventbus", "projection", "saga", "schedule", "command/remote", "migrate", "stream", "broker/natsbroker/embedded"},                                      // L4
	{"outbox", "saga/sagatest"},        // sends what eventbus receives
	{"outbox/pgxoutbox", "middleware"}, // lets the outbox use pgx; what stands around all handlers
	{"middleware/fieldtags", "middleware/breaker", "middleware/ratelimit", "middleware/querycache", "schedule/cron", "stream/websocket", "observe/promobserve", "observe/otelobserve"}, // its leaves, each with a library
	{"."},                              // L5, the Engine
	{"admin", "config"},                // L6
	{"drivers", "monitor", "eventsfx"}, // L7
	{"cli", "internal/everybroker"},    // L8; for tests
	{"cmd/lexevents"},                  // L9
	{"internal/acceptance", "examples/...", "scripts/crashtest", "scripts/feedtest", "scripts/bustest", "scripts/sagaproof"}, // users of it all, free in what they import
}

// clients names the modules of others that a package may import, by prefix. What is not listed here imports the
// standard library and this module only, but for the last line. puddle is the pool inside of pgx, and the errors of a closed
// pool are its own.
var clients = map[string][]string{
	"store/sqlitestore":                  {"zombiezen.com/go/sqlite"},
	"store/sqlitestore/sqlitebaseline":   {"zombiezen.com/go/sqlite"},
	"store/pgstore":                      {"github.com/jackc/pgx/v5", "github.com/jackc/puddle/v2"},
	"store/pgstore/pgbaseline":           {"github.com/jackc/pgx/v5"},
	"store/mongostore":                   {"go.mongodb.org/mongo-driver/v2"},
	"store/mongostore/mongobaseline":     {"go.mongodb.org/mongo-driver/v2"},
	"store/redisstore":                   {"github.com/redis/go-redis/v9"},
	"internal/testserver":                {"github.com/redis/go-redis/v9"},
	"internal/redisserver":               {"github.com/redis/go-redis/v9"},
	"store/redisstore/redisbaseline":     {"github.com/redis/go-redis/v9"},
	"broker/watermillbroker":             {"github.com/ThreeDotsLabs/watermill"},
	"broker/redisbroker/redisbaseline":   {"github.com/redis/go-redis/v9"},
	"broker/rabbitbroker/rabbitbaseline": {"github.com/rabbitmq/amqp091-go"},
	"broker/kafkabroker/kafkabaseline":   {"github.com/twmb/franz-go"},
	"broker/redisbroker":                 {"github.com/redis/go-redis/v9"},
	"broker/rabbitbroker":                {"github.com/rabbitmq/amqp091-go"},
	"broker/kafkabroker":                 {"github.com/twmb/franz-go"},
	"broker/natsbroker":                  {"github.com/nats-io/nats.go", "github.com/nats-io/nuid"},
	"broker/natsbroker/natsbaseline":     {"github.com/nats-io/nats.go"},
	"broker/natsbroker/embedded":         {"github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "github.com/nats-io/nuid"},
	"internal/everystore":                {"go.mongodb.org/mongo-driver/v2", "github.com/redis/go-redis/v9"},
	"cli":                                {"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/goccy/go-yaml", "github.com/schollz/progressbar/v3"},
	"outbox/pgxoutbox":                   {"github.com/jackc/pgx/v5"},
	"middleware/fieldtags":               {"github.com/go-playground/validator/v10"},
	"middleware/breaker":                 {"github.com/sony/gobreaker/v2"},
	"middleware/ratelimit":               {"golang.org/x/time/rate"},
	"middleware/querycache":              {"github.com/hashicorp/golang-lru/v2"},
	"schedule/cron":                      {"github.com/netresearch/go-cron"},
	"stream/websocket":                   {"github.com/coder/websocket"},
	"monitor":                            {"github.com/prometheus/client_golang/prometheus"},
	"observe/promobserve":                {"github.com/prometheus/client_golang/prometheus"},
	"observe/otelobserve":                {"go.opentelemetry.io/otel"},
	"eventsfx":                           {"go.uber.org/fx"},
	"config":                             {"github.com/knadh/koanf", "github.com/goccy/go-yaml", "github.com/prometheus/client_golang/prometheus"},
}

// testClients names what only the tests of a package may import besides: package outbox works with whatever driver of
// database/sql its user has, and is tested with these.
var testClients = map[string][]string{
	"broker/natsbroker": {"github.com/nats-io/nats-server/v2"}, // with users and permissions
	"outbox":            {"github.com/jackc/pgx/v5", "modernc.org/sqlite"},
	"config":            {"github.com/coder/websocket", "github.com/santhosh-tekuri/jsonschema/v6"}, // as editors check a file
	"saga":              {"pgregory.net/rapid"},                                                     // makes up what its property test tries
}

// onlyFor names the only packages that may import these. Their own tests may too, and so may what stands on the last line.
var onlyFor = map[string][]string{
	"store/sqlitestore":                  {"drivers", "internal/everystore", "store/sqlitestore/sqlitebaseline"},
	"store/pgstore":                      {"drivers", "internal/everystore", "store/pgstore/pgbaseline"},
	"store/mongostore":                   {"drivers", "internal/everystore", "store/mongostore/mongobaseline"},
	"store/mongostore/mongobaseline":     {"drivers"},
	"store/redisstore":                   {"drivers", "internal/everystore", "store/redisstore/redisbaseline"},
	"store/redisstore/redisbaseline":     {"drivers"},
	"store/sqlitestore/sqlitebaseline":   {"drivers"},
	"store/pgstore/pgbaseline":           {"drivers"},
	"broker/redisbroker/redisbaseline":   {"drivers"},
	"broker/rabbitbroker/rabbitbaseline": {"drivers"},
	"broker/kafkabroker/kafkabaseline":   {"drivers"},
	"drivers":                            {"cmd/lexevents", "internal/everybroker"},
	"store/storetest":                    {}, // suites belong to tests
	"broker/redisbroker":                 {"drivers"},
	"broker/rabbitbroker":                {"drivers"},
	"broker/kafkabroker":                 {"drivers"},
	"broker/natsbroker":                  {"drivers", "broker/natsbroker/embedded"},
	"broker/natsbroker/embedded":         {}, // it is for applications
	"broker/natsbroker/natsbaseline":     {"drivers"},
	"broker/brokertest":                  {},
	"internal/everystore":                {},
	"internal/everybroker":               {},
	"aggregate/aggregatetest":            {},
	"saga/sagatest":                      {},
}

// denied names what these packages must not import although it is standard library: the faces (admin, cli) reach a
// store through its port.
var denied = map[string][]string{
	"admin":         {"database/sql"},
	"cli":           {"database/sql"},
	"cmd/lexevents": {"database/sql"},
}
