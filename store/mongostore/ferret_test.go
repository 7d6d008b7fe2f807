package mongostore_test

import (
	"errors"
	"sync"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/mongostore"
)

// FerretDB keeps no unique index over lists, so the store looks ids up. The suite itself does not run here: FerretDB's
// updates are not atomic, so racing writers of records would fail it, as the documentation says.
func TestIDsStayUniqueOnAServerThatDoesNotKeepThemSo(t *testing.T) {
	url := testserver.URL(t, ferretServer)
	o := mongostore.Options{Database: newDatabase(t, url)}
	handles := []*store.Store{store.New(open(t, url, o), store.Options{}), store.New(open(t, url, o), store.Options{})}
	pending := []event.Pending{{ID: event.NewID(), Type: "x"}, {ID: event.NewID(), Type: "y"}}
	first, err := handles[0].Append(t.Context(), "a-1", store.NoStream(), pending...)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range handles {
		for _, expected := range []store.Expected{store.Any(), store.NoStream(), store.Exactly(2)} {
			if again, err := s.Append(t.Context(), "a-1", expected, pending...); err != nil || !again.Duplicate || again.First != first.First {
				t.Errorf("handle %d, %v: the retry gave %+v, %v", i, expected, again, err)
			}
			if _, err := s.Append(t.Context(), "b-1", store.Any(), event.Pending{Type: "new"}, pending[0]); !errors.Is(err, store.ErrIDReused) {
				t.Errorf("handle %d, %v: an id used again gave %v", i, expected, err)
			}
		}
	}
	racing := event.Pending{ID: event.NewID(), Type: "z"}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			if res, err := handles[w%2].Append(t.Context(), "c-1", store.Any(), racing); err != nil || res.Version() != 1 {
				t.Errorf("writer %d: %+v, %v", w, res, err)
			}
		})
	}
	wg.Wait()
	if n := count(t, handles[0]); n != 3 {
		t.Errorf("the log has %d events, want 3", n)
	}
}

func TestExactlyOneWinsAConditionOnFerretDB(t *testing.T) {
	url := testserver.URL(t, ferretServer)
	o := mongostore.Options{Database: newDatabase(t, url)}
	handles := []*store.Store{store.New(open(t, url, o), store.Options{}), store.New(open(t, url, o), store.Options{})}
	query := store.Query{{Tags: []event.Tag{"seat:1"}}}
	for round := range 20 {
		head, err := handles[0].Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 6)
		for w := range cap(results) {
			go func() {
				stream := event.StreamID("own-" + event.NewID().String())
				_, err := handles[w%2].AppendIf(t.Context(), stream, store.Condition{Query: query, After: head}, event.Pending{Type: "taken", Tags: query[0].Tags})
				results <- err
			}()
		}
		won := 0
		for range cap(results) {
			if err := <-results; err == nil {
				won++
			} else if !errors.Is(err, store.ErrConflict) {
				t.Errorf("round %d: a loser got %v", round, err)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d won", round, won)
		}
	}
	if n := count(t, handles[1]); n != 20 {
		t.Errorf("the log has %d events, want 20", n)
	}
}
