package mongostore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/mongostore"
	"lexigram.dev/events/store/storetest"
)

// The servers that the tests run on, by the variable that names their URL: MongoDB, or what stands for it, and FerretDB.
const (
	mongoServer  = "TEST_MONGO_URL"
	ferretServer = "TEST_FERRETDB_URL"
)

// connect gives a client for the test's own commands.
func connect(tb testing.TB, url string) *mongo.Client {
	tb.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(url))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client
}

// newDatabase names a database for one test, which is dropped when the test ends.
func newDatabase(tb testing.TB, url string) string {
	tb.Helper()
	id := event.NewID()
	name := fmt.Sprintf("test_%x", id[:])
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := connect(tb, url).Database(name).Drop(ctx); err != nil {
			tb.Error(err)
		}
	})
	return name
}

// open opens a store; it is closed when the test ends.
func open(tb testing.TB, url string, o mongostore.Options) *mongostore.Backend {
	tb.Helper()
	o.AutoMigrate = true
	b, err := mongostore.Open(tb.Context(), url, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// needReplicaSet skips on a server that is none.
func needReplicaSet(t *testing.T, url string) {
	t.Helper()
	var hello struct {
		SetName string `bson:"setName"`
	}
	err := connect(t, url).Database("admin").RunCommand(t.Context(), bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	if err != nil {
		t.Fatal(err)
	}
	if hello.SetName == "" {
		t.Skipf("%s is not a member of a replica set: set it to one to run this", mongoServer)
	}
}

func newStore(variable string) func(t *testing.T) func(t *testing.T) store.Backend {
	return func(t *testing.T) func(t *testing.T) store.Backend {
		url := testserver.URL(t, variable)
		database := newDatabase(t, url)
		return func(t *testing.T) store.Backend {
			return open(t, url, mongostore.Options{Database: database, PollInterval: 20 * time.Millisecond})
		}
	}
}

func TestSuite(t *testing.T) {
	testserver.URL(t, mongoServer)
	storetest.Run(t, storetest.Harness{New: newStore(mongoServer)})
}

func BenchmarkSuite(b *testing.B) {
	url := testserver.URL(b, mongoServer)
	storetest.Benchmark(b, func(b *testing.B) store.Backend {
		return open(b, url, mongostore.Options{Database: newDatabase(b, url)})
	})
}
