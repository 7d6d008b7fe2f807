package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func TestForeignTransactionsStallNothing(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	schema := newSchema(t, dsn)
	s := store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{})
	mustAppend(t, s, "a-1", 1)
	ctx := context.Background()
	for _, sql := range []string{
		`begin isolation level repeatable read; select count(*) from ` + schema + `.events`,           // an old snapshot
		`begin; create table ` + schema + `.mine (x int); insert into ` + schema + `.mine values (1)`, // an open write
	} {
		conn := connect(t, dsn)
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		mustAppend(t, s, "a-1", 3)
	}
	if n := checkGapless(t, s); n != 61 {
		t.Errorf("a reader sees %d events, want 61", n)
	}
}

func TestAStrictDefaultIsolationLevelChangesNothing(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		strict := dsn + "&default_transaction_isolation=serializable"
		schema := newSchema(t, dsn)
		handles := []*store.Store{
			store.New(open(t, strict, pgstore.Options{Schema: schema, AppendMode: mode}), store.Options{}),
			store.New(open(t, strict, pgstore.Options{Schema: schema, AppendMode: mode}), store.Options{}),
		}
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for range 20 {
					if _, err := handles[w%2].Append(t.Context(), "hot-1", store.Any(), pending(2)...); err != nil {
						t.Error(err)
					}
					if _, err := handles[w%2].Apply(t.Context(), store.Put("b", "k", nil)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := checkGapless(t, handles[0]); n != 320 {
			t.Errorf("the log has %d events, want 320", n)
		}
	})
}

func TestAUsersPoolOfOneConnection(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	for _, setting := range []string{"", "&default_query_exec_mode=exec", "&default_query_exec_mode=simple_protocol"} {
		eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
			pool, err := pgxpool.New(t.Context(), dsn+"&pool_max_conns=1"+setting)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			b, err := pgstore.New(pool, pgstore.Options{Schema: newSchema(t, dsn), AppendMode: mode, AutoMigrate: true})
			if err != nil {
				t.Fatal(err)
			}
			s := store.New(b, store.Options{})
			mustAppend(t, s, "a-1", 3)
			mustAppend(t, s, "b-1", 1)
			for e, err := range s.ReadLog(t.Context(), store.LogRead{Filter: store.Filter{Query: store.Query{{Tags: []event.Tag{"k:1"}}, {Types: []string{"thing"}}}}}) {
				if err != nil {
					t.Fatal(err)
				}
				mustAppend(t, s, e.Stream, 1) // reads hold no connection while their events are handled
			}
			if _, err := s.Append(t.Context(), "a-1", store.NoStream(), pending(1)...); !errors.Is(err, store.ErrConflict) {
				t.Errorf("got %v, want a conflict", err)
			}
			revisions, err := s.Apply(t.Context(), store.Put("b", "k", []byte("v")).For(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Apply(t.Context(), store.Put("b", "k", nil).When(store.IfRevision(revisions[0]+1))); !errors.Is(err, store.ErrConflict) {
				t.Errorf("got %v, want a conflict", err)
			}
			if removed, err := s.Truncate(t.Context(), "a-1", 3); removed != 2 || err != nil {
				t.Errorf("truncate: %d, %v", removed, err)
			}
			if _, err := s.Delete(t.Context(), "a-1", store.Any()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := pool.Ping(t.Context()); err != nil {
				t.Errorf("Close has closed the user's pool: %v", err)
			}
		})
	}
}

func TestEventIDsAreFoundInAnyBatch(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		s := store.New(open(t, dsn, pgstore.Options{Schema: newSchema(t, dsn), AppendMode: mode}), store.Options{})
		shared := pending(1)[0]
		var wg sync.WaitGroup
		var mu sync.Mutex
		stored := 0
		for w := range 24 { // two different streams want the same id; one may have it
			wg.Go(func() {
				res, err := s.Append(t.Context(), event.StreamID(fmt.Sprintf("s-%d", w%2)), store.Any(), append(pending(4), shared)...)
				mu.Lock()
				defer mu.Unlock()
				if err == nil && !res.Duplicate {
					stored++
				} else if !errors.Is(err, store.ErrIDReused) {
					t.Errorf("writer %d: got %+v, %v", w, res, err)
				}
			})
		}
		wg.Wait()
		if n := checkGapless(t, s); stored != 1 || n != 5 {
			t.Errorf("%d appends succeeded and %d events are stored, want 1 and 5", stored, n)
		}
	})
}
