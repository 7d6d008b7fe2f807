package mongostore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/mongostore"
)

func TestMalformedURLsAreRefusedWithoutShowingThem(t *testing.T) {
	for what, url := range map[string]string{
		"another scheme":     "mysql://root:hunter2@h/db",
		"no host":            "mongodb://",
		"bad port":           "mongodb://root:hunter2@h:x/db",
		"unknown parameter":  "mongodb://root:hunter2@h/db?prefx=x",
		"empty prefix":       "mongodb://root:hunter2@h/db?prefix=",
		"two prefixes":       "mongodb://root:hunter2@h/db?prefix=a&prefix=b",
		"bad prefix":         "mongodb://root:hunter2@h/db?prefix=a-b",
		"bad database":       "mongodb://root:hunter2@h/d-b",
		"weaker writes":      "mongodb://root:hunter2@h/db?w=1",
		"unjournaled writes": "mongodb://root:hunter2@h/db?journal=false",
		"weaker reads":       "mongodb://root:hunter2@h/db?readConcernLevel=local",
		"secondary reads":    "mongodb://root:hunter2@h/db?readPreference=secondary",
	} {
		_, err := mongostore.Open(t.Context(), url, mongostore.Options{})
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", what, err)
		}
	}
}

func TestURLAndOptionsMustAgree(t *testing.T) {
	for _, o := range []mongostore.Options{{Database: "other"}, {Prefix: "other"}, {AutoMigrate: true, ReadOnly: true}, {ReconnectFor: -1}} {
		if _, err := mongostore.Open(t.Context(), "mongodb://h/db?prefix=p", o); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", o, err)
		}
	}
}

func TestStoresWithDifferentPrefixesShareADatabase(t *testing.T) {
	url := testserver.URL(t, mongoServer)
	front, query, _ := strings.Cut(url, "?")
	database := newDatabase(t, url)
	for i, prefix := range []string{"one", "two"} {
		b := open(t, strings.TrimSuffix(front, "/")+"/"+database+"?prefix="+prefix+"&"+query, mongostore.Options{})
		s := store.New(b, store.Options{})
		for range i + 1 {
			if _, err := s.Append(t.Context(), "a-1", store.Any(), event.Pending{Type: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(t, s); n != i+1 {
			t.Errorf("store %s has %d events, want %d", prefix, n, i+1)
		}
	}
}

func TestWhatIsNoStoreIsRefusedAndLeftAlone(t *testing.T) {
	url := testserver.URL(t, mongoServer)
	for what, prepare := range map[string]struct {
		collection string
		doc        bson.D
	}{
		"another program's commits": {"lexigram_commits", bson.D{{Key: "_id", Value: "x"}}},
		"another program's meta":    {"lexigram_meta", bson.D{{Key: "_id", Value: "x"}}},
		"another program's mark":    {"lexigram_meta", bson.D{{Key: "_id", Value: "store"}, {Key: "program", Value: "other"}}},
		"a newer store":             {"lexigram_meta", bson.D{{Key: "_id", Value: "store"}, {Key: "program", Value: "lexigram.dev/events"}, {Key: "schema", Value: 99}}},
	} {
		t.Run(what, func(t *testing.T) {
			database := newDatabase(t, url)
			db := connect(t, url).Database(database)
			if _, err := db.Collection(prepare.collection).InsertOne(t.Context(), prepare.doc); err != nil {
				t.Fatal(err)
			}
			_, err := mongostore.Open(t.Context(), url, mongostore.Options{Database: database, AutoMigrate: true})
			if !errors.Is(err, store.ErrIncompatible) {
				t.Errorf("got %v, want ErrIncompatible", err)
			}
			names, err := db.ListCollectionNames(t.Context(), bson.D{})
			if err != nil || len(names) != 1 {
				t.Errorf("the database holds %v (%v), want what was there", names, err)
			}
		})
	}
}

func TestAMissingStoreSaysWhatToRunAndIsMadeByMigrate(t *testing.T) {
	url := testserver.URL(t, mongoServer)
	database := newDatabase(t, url)
	_, err := mongostore.Open(t.Context(), url, mongostore.Options{Database: database})
	if !errors.Is(err, store.ErrIncompatible) || !strings.Contains(fmt.Sprint(err), "lexevents migrate up") {
		t.Errorf("got %v, want ErrIncompatible that says what to run", err)
	}
	b, err := mongostore.Open(t.Context(), url, mongostore.Options{Database: database, Pending: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for round, want := range []int{1, 0} {
		if applied, err := b.Migrate(t.Context()); err != nil || len(applied) != want {
			t.Errorf("round %d: applied %v, %v", round, applied, err)
		}
	}
	if list, err := b.Migrations(t.Context()); err != nil || len(list) != 1 || !list[0].Applied {
		t.Errorf("migrations: %v, %v", list, err)
	}
	readOnly, err := mongostore.Open(t.Context(), url, mongostore.Options{Database: database, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	if _, err := store.New(readOnly, store.Options{}).Append(t.Context(), "a-1", store.Any(), event.Pending{Type: "x"}); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("append to a read-only store: %v", err)
	}
}

func TestACommitOverTheDocumentLimitIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	url := testserver.URL(t, mongoServer)
	s := store.New(open(t, url, mongostore.Options{Database: newDatabase(t, url)}), store.Options{Limits: store.Limits{MaxCommitBytes: 64 << 20}})
	events := make([]event.Pending, 17)
	for i := range events {
		events[i] = event.Pending{Type: "big", Data: make([]byte, 1<<20-2)}
	}
	for _, n := range []int{16, 17} { // over it by the overhead alone, and by the data
		if _, err := s.Append(t.Context(), "a-1", store.Any(), events[:n]...); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "16777216") {
			t.Errorf("%d MiB: got %v, want ErrTooLarge that names the limit", n, err)
		}
	}
	var ops []store.Op
	for i := range 5 {
		ops = append(ops, store.Put("b", fmt.Sprint(i), make([]byte, 4<<20)))
	}
	if _, err := s.Apply(t.Context(), ops...); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("records: got %v, want ErrTooLarge", err)
	}
	if n := count(t, s); n != 0 {
		t.Errorf("the log has %d events, want none", n)
	}
}

func TestWrongCredentialsAreAClearErrorWithoutThem(t *testing.T) {
	url := strings.Replace(testserver.URL(t, mongoServer), "mongodb://", "mongodb://nobody:hunter2@", 1)
	_, err := mongostore.Open(t.Context(), url+"&serverSelectionTimeoutMS=5000", mongostore.Options{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the password", err)
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestAReplicaSetWakesFollowersOfOtherProcesses(t *testing.T) {
	url := testserver.URL(t, mongoServer)
	needReplicaSet(t, url)
	o := mongostore.Options{Database: newDatabase(t, url), PollInterval: time.Hour}
	follower, writer := open(t, url, o), open(t, url, o)
	woken, err := follower.Wake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(writer, store.Options{})
	deadline := time.After(30 * time.Second)
	for seen := 0; seen < 3; seen++ {
		if _, err := s.Append(t.Context(), "a-1", store.Any(), event.Pending{Type: "x"}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-woken:
		case <-deadline:
			t.Fatal("no wake-up came")
		}
	}
}
