package deadletter_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/pgstore"
	"lexigram.dev/events/store/sqlitestore"
)

const postgresURL = "TEST_POSTGRES_URL"

// onEach runs a test on each backend. open gives another handle on the same store.
func onEach(t *testing.T, test func(t *testing.T, open func() store.Backend)) {
	t.Run("memory", func(t *testing.T) {
		b := memstore.New(memstore.Options{})
		t.Cleanup(func() { _ = b.Close() })
		test(t, func() store.Backend { return b })
	})
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		test(t, func() store.Backend {
			b, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{AutoMigrate: true})
			return closing(t, b, err)
		})
	})
	t.Run("postgres", func(t *testing.T) {
		url := os.Getenv(postgresURL)
		if url == "" && os.Getenv("REQUIRE_SERVICES") == "1" {
			t.Fatalf("%s is not set, and services are required", postgresURL)
		}
		if url == "" {
			t.Skipf("set %s to the URL of a PostgreSQL server to run this", postgresURL)
		}
		id := event.NewID()
		schema := fmt.Sprintf("test_%x", id[:])
		t.Cleanup(func() { drop(t, url, schema) })
		test(t, func() store.Backend {
			b, err := pgstore.Open(t.Context(), url, pgstore.Options{Schema: schema, AutoMigrate: true})
			return closing(t, b, err)
		})
	})
}

func closing(t *testing.T, b store.Backend, err error) store.Backend {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func drop(t *testing.T, url, schema string) {
	ctx := context.Background()
	b, err := pgstore.Open(ctx, url, pgstore.Options{Schema: schema})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = b.Close() }()
	err = b.Transact(ctx, func(ctx context.Context) error {
		tx, _ := pgstore.Tx(ctx)
		_, err := tx.Exec(ctx, "drop schema "+schema+" cascade")
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// desk is the dead letters of a store, with what tests do to them.
type desk struct {
	*deadletter.Letters
	*testing.T
	store *store.Store
}

const source = "subscription/mailer"

func newDesk(t *testing.T, b store.Backend, l store.Limits) desk {
	s := store.New(b, store.Options{Limits: l})
	return desk{Letters: deadletter.New(s, deadletter.Options{}), T: t, store: s}
}

// inMemory runs a test at the bubble's time, which stands still.
func inMemory(t *testing.T, test func(d desk)) {
	synctest.Test(t, func(t *testing.T) { test(newDesk(t, memstore.New(memstore.Options{}), store.Limits{})) })
}

func eventLetter(position event.Position, sequence string, state deadletter.State) deadletter.Letter {
	l := deadletter.Letter{
		Source: source, Sequence: sequence, State: state,
		Event: &event.Recorded{
			ID: event.NewID(), Stream: event.StreamID(sequence), Version: event.Version(position), Position: position, Type: "order.placed",
			SchemaVersion: 1, ContentType: event.JSON, Data: fmt.Appendf(nil, `{"n":%d}`, position), RawMetadata: []byte(`{}`),
			OccurredAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), RecordedAt: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
		},
	}
	if state != deadletter.StateWaiting {
		l.Error, l.Attempts = "no route to host", 4
	}
	return l
}

func idOf(position event.Position) string { return fmt.Sprintf("%s/%019d", source, position) }

func (d desk) apply(ops []store.Op, err error) {
	d.Helper()
	if err == nil {
		_, err = d.store.Apply(d.Context(), ops...)
	}
	if err != nil {
		d.Fatal(err)
	}
}

func (d desk) park(letters ...deadletter.Letter) {
	d.Helper()
	for _, letter := range letters {
		d.apply(d.Park(d.Context(), letter))
	}
}

func (d desk) get(id string) deadletter.Letter {
	d.Helper()
	letter, err := d.Get(d.Context(), id)
	if err != nil {
		d.Fatal(err)
	}
	return letter
}

func (d desk) requested(source string) []deadletter.Letter {
	d.Helper()
	var list []deadletter.Letter
	for letter, err := range d.Requested(d.Context(), source) {
		if err != nil {
			d.Fatal(err)
		}
		list = append(list, letter)
	}
	return list
}

func (d desk) ids(f deadletter.Filter) []string {
	d.Helper()
	var list []string
	for letter, err := range d.List(d.Context(), f) {
		if err != nil {
			d.Fatal(err)
		}
		list = append(list, letter.ID)
	}
	return list
}

func (d desk) blocked(sequence string) bool {
	d.Helper()
	blocked, err := d.Blocked(d.Context(), source, sequence)
	if err != nil {
		d.Fatal(err)
	}
	return blocked
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
