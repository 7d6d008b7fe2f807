package integration

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
	"lexigram.dev/events/broker/watermillbroker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
)

// TestADurableAdapterOfWatermillKeepsTheRulesThatItCan: Watermill's adapter for PostgreSQL has groups and keeps order; a
// member gets one message at a time, and one member of a group at a time gets any.
func TestADurableAdapterOfWatermillKeepsTheRulesThatItCan(t *testing.T) {
	url := testserver.URL(t, "TEST_POSTGRES_URL")
	const one = "the adapter gives a group one message at a time"
	brokertest.Run(t, brokertest.Harness{
		New: func(t *testing.T) func(t *testing.T) broker.Backend {
			schema := newSchema(t, url)
			return func(t *testing.T) broker.Backend { return openSQL(t, url, schema) }
		},
		Messages: 1000,
		Except: map[string]string{
			"lets a key wait behind its failed message and other keys go on":                    one,
			"handles messages without a key at the same time":                                   one,
			"gives a member no more than its prefetch before it acknowledges":                   one,
			"finishes what is being handled when a member stops, and leaves the rest to others": one,
			"delivers again what a member held when it died":                                    one,
			"gives a key to nobody else while a member holds a message of it":                   one + ", and the rule wants two",
			"delivers what was given back, in its place":                                        one,
			"keeps confirmed messages when the publisher's handle is closed":                    one + ", and the rule wants ten",
		},
	})
}

func newSchema(t *testing.T, url string) string {
	t.Helper()
	id := event.NewID()
	schema := fmt.Sprintf("test_%x", id[:])
	db, err := stdsql.Open("pgx", url)
	must(t, err)
	_, err = db.ExecContext(t.Context(), "create schema "+schema)
	must(t, err)
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), "drop schema "+schema+" cascade")
		must(t, err)
		must(t, db.Close())
	})
	return schema
}

func openSQL(t *testing.T, url, schema string) broker.Backend {
	t.Helper()
	db, err := stdsql.Open("pgx", url+"&search_path="+schema)
	must(t, err)
	var (
		handle  = sql.BeginnerFromStdSQL(db)
		tables  = sql.DefaultPostgreSQLSchema{GeneratePayloadType: func(string) string { return "bytea" }}
		offsets = sql.DefaultPostgreSQLOffsetsAdapter{}
	)
	publisher, err := sql.NewPublisher(handle, sql.PublisherConfig{SchemaAdapter: tables, AutoInitializeSchema: true}, nil)
	must(t, err)
	subscriber := func(_ context.Context, group string) (message.Subscriber, error) {
		return sql.NewSubscriber(handle, sql.SubscriberConfig{
			ConsumerGroup: group, SchemaAdapter: tables, OffsetsAdapter: offsets, InitializeSchema: true,
			PollInterval: 10 * time.Millisecond, ResendInterval: time.Millisecond, RetryInterval: 10 * time.Millisecond,
		}, nil)
	}
	b, err := watermillbroker.New(watermillbroker.Options{
		Publisher: publisher, Subscriber: subscriber,
		Declare: func(ctx context.Context, topic, group string) error {
			s, err := sql.NewSubscriber(handle, sql.SubscriberConfig{SchemaAdapter: tables, OffsetsAdapter: offsets}, nil)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			if err := s.SubscribeInitialize(topic); err != nil {
				return err
			}
			_, err = db.ExecContext(ctx, fmt.Sprintf(`insert into %s (consumer_group, offset_acked, last_processed_transaction_id)
				select $1, coalesce(max("offset"), 0), coalesce(max(transaction_id::text::bigint), 0)::text::xid8 from %s on conflict do nothing`,
				offsets.MessagesOffsetsTable(topic), tables.MessagesTable(topic)), group)
			return err
		},
		Features: broker.Features{Ordered: true, Durable: true},
		Name:     "watermill-sql", Version: "4", Location: "a schema of the test's", Durability: "that of PostgreSQL",
		Check: db.PingContext,
	})
	must(t, err)
	t.Cleanup(func() {
		must(t, b.Close())
		must(t, db.Close())
	})
	return b
}
