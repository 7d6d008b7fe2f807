package pgbaseline

import (
	"context"
	"net/url"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func TestTheBaselineDoesWhatTheStoreDoes(t *testing.T) {
	dsn := testserver.URL(t, "TEST_POSTGRES_URL")
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("schema", "test_baseline")
	u.RawQuery = query.Encode()
	backend, err := pgstore.Open(t.Context(), u.String(), pgstore.Options{AutoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(backend, store.Options{})
	defer s.Close()
	if _, err := s.Append(t.Context(), "a-1", store.Any(), event.Pending{Type: "x", Data: []byte("{}")}, event.Pending{Type: "y"}); err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	var rows []event.Recorded
	for v := range 10 {
		rows = append(rows, event.Recorded{
			ID: event.NewID(), Stream: "b-1", Version: event.Version(v + 1), Type: "x", SchemaVersion: 1, ContentType: event.JSON,
			Data: []byte("{}"), RawMetadata: []byte("{}"), Tags: []event.Tag{"k:1"}, OccurredAt: time.Now(),
		})
	}
	if err := b.SetPool(t.Context(), 2); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"one row": b.Insert(t.Context(), rows[:1]), "some rows": b.Insert(t.Context(), rows[1:4]), "bulk": b.Bulk(t.Context(), rows[4:]),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n, err := b.Read(t.Context()); n < 2 || err != nil {
		t.Errorf("read %d rows of the store, %v", n, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := backend.Transact(t.Context(), func(ctx context.Context) error {
		tx, _ := pgstore.Tx(ctx)
		_, err := tx.Exec(ctx, `drop schema test_baseline cascade`)
		return err
	}); err != nil {
		t.Error(err)
	}
}
