package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func pending(n int) []event.Pending {
	events := make([]event.Pending, n)
	for i := range events {
		events[i] = event.Pending{ID: event.NewID(), Type: "thing", Data: []byte(`{"n":1}`), Tags: []event.Tag{"k:1"}}
	}
	return events
}

func mustAppend(t *testing.T, s *store.Store, stream event.StreamID, n int) store.Result {
	t.Helper()
	res, err := s.Append(t.Context(), stream, store.Any(), pending(n)...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// checkGapless proves positions 1, 2, 3… and returns how many.
func checkGapless(t *testing.T, s *store.Store) int {
	t.Helper()
	n := 0
	for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; int(e.Position) != n {
			t.Fatalf("entry %d has position %d", n, e.Position)
		}
	}
	return n
}

func eachMode(t *testing.T, run func(t *testing.T, mode pgstore.AppendMode)) {
	t.Run("copy", func(t *testing.T) { run(t, pgstore.Copy) })
	t.Run("function", func(t *testing.T) { run(t, pgstore.Function) })
}

func TestProcessesThatMigrateAtOnceTakeTurns(t *testing.T) {
	dsn := server(t, debianServer)
	schema := newSchema(t, dsn)
	const processes = 6
	var wg sync.WaitGroup
	backends := make([]*pgstore.Backend, processes)
	for i := range processes {
		wg.Go(func() {
			b, err := pgstore.Open(t.Context(), dsn, pgstore.Options{Schema: schema, AutoMigrate: true})
			if err != nil {
				t.Errorf("process %d: %v", i, err)
				return
			}
			backends[i] = b
		})
	}
	wg.Wait()
	for _, b := range backends {
		if b == nil {
			t.FailNow()
		}
		if _, err := b.Append(t.Context(), store.Commit{Appends: []store.Append{{Stream: "a-1", Expected: store.Any(), Events: pending(1)}}}); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMigrationsAreAskedFor(t *testing.T) {
	dsn := server(t, debianServer)
	schema := newSchema(t, dsn)
	ctx := t.Context()
	_, err := pgstore.Open(ctx, dsn, pgstore.Options{Schema: schema})
	if !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), "lexevents migrate up") {
		t.Fatalf("a missing schema: got %v", err)
	}
	b, err := pgstore.Open(ctx, dsn, pgstore.Options{Schema: schema, Pending: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	list, err := b.Migrations(ctx)
	if err != nil || len(list) == 0 || list[0].Applied {
		t.Fatalf("before: %v, %v", list, err)
	}
	applied, err := b.Migrate(ctx)
	if err != nil || len(applied) != len(list) {
		t.Fatalf("applied %v, %v", applied, err)
	}
	if applied, err = b.Migrate(ctx); err != nil || len(applied) != 0 {
		t.Fatalf("again: applied %v, %v", applied, err)
	}
	if list, err = b.Migrations(ctx); err != nil || !list[len(list)-1].Applied {
		t.Fatalf("after: %v, %v", list, err)
	}
	execute(t, dsn, `delete from `+schema+`.migrations where number = `+fmt.Sprint(len(list)))
	if _, err = pgstore.Open(ctx, dsn, pgstore.Options{Schema: schema}); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("an older schema: got %v", err)
	}
	execute(t, dsn, fmt.Sprintf(`insert into %s.migrations values (%d, 'x'), (%d, 'y')`, schema, len(list), len(list)+1))
	if _, err = pgstore.Open(ctx, dsn, pgstore.Options{Schema: schema, AutoMigrate: true}); !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("a newer schema: got %v", err)
	}
}

func TestPasswordsNeverShow(t *testing.T) {
	const secret = "s3cr3t-pa55"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, dsn := range []string{
		"postgres://u:" + secret + "@127.0.0.1:1/db?sslmode=nonsense",
		"postgres://u:" + secret + "@127.0.0.1:port/db",
		"postgres://u:" + secret + "@127.0.0.1:1/db?pool_max_conns=" + secret,
		"postgres://u:p@" + secret + ":x/y@127.0.0.1:1/db",
		"postgres://u:%zz" + secret + "@127.0.0.1:1/db",
		"postgres://u:" + secret + "@127.0.0.1:1/db",
		"postgres://127.0.0.1:1/db?user=u&password=" + secret + "&sslmode=nonsense",
		"host=127.0.0.1 port=x password=" + secret,
		"host=127.0.0.1 port=1 user=u password='" + secret,
		"postgres://u:" + secret + "@127.0.0.1:1/db?schema=Not-A-Schema",
	} {
		_, err := pgstore.Driver().Open(ctx, dsn, store.OpenOptions{})
		if err == nil {
			t.Errorf("%s was opened", dsn)
			continue
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%v %+v", e, e); strings.Contains(text, secret) {
				t.Errorf("%s: the error shows the password: %s", dsn, text)
			}
		}
	}
}

func TestUnreachableServers(t *testing.T) {
	_, err := pgstore.Open(t.Context(), "postgres://u:p@127.0.0.1:1/db?sslmode=disable&connect_timeout=5", pgstore.Options{})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	dsn := server(t, debianServer)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/no_such_database"
	if _, err = pgstore.Open(t.Context(), u.String(), pgstore.Options{}); err == nil || !strings.Contains(err.Error(), "no_such_database") {
		t.Errorf("a missing database: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = pgstore.Open(ctx, dsn, pgstore.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: got %v", err)
	}
}

func TestAppendsSurviveTheEndOfTheirConnection(t *testing.T) {
	dsn := server(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		for _, n := range []int{1, 3, 40} { // by append_one, append_many, COPY
			schema := newSchema(t, dsn)
			s := store.New(open(t, dsn, pgstore.Options{Schema: schema, AppendMode: mode}), store.Options{})
			mustAppend(t, s, "before-1", 2)
			p := pauseCommits(t, dsn, schema)
			done := make(chan error, 1)
			var res store.Result
			events := pending(n)
			go func() {
				var err error
				res, err = s.Append(t.Context(), "a-1", store.NoStream(), events...)
				done <- err
			}()
			execute(t, dsn, fmt.Sprintf(`select pg_terminate_backend(%d)`, p.pid())) // in mid-commit: it is rolled back
			p.resume()
			if err := <-done; err != nil || int(res.Version()) != n || res.Duplicate {
				t.Errorf("%d events: got %+v, %v", n, res, err)
			}
			mustAppend(t, s, "after-1", 1)
			if got := checkGapless(t, s); got != 2+n+1 {
				t.Errorf("%d events: the log has %d, want %d", n, got, 2+n+1)
			}
		}
	})
}

func TestAppendsSurviveKillsUnderLoad(t *testing.T) {
	dsn := server(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		schema := newSchema(t, dsn)
		named := dsn + "&application_name=" + schema
		s := store.New(open(t, named, pgstore.Options{Schema: schema, AppendMode: mode}), store.Options{})
		const writers, each = 16, 60
		var wg sync.WaitGroup
		stop := make(chan struct{})
		killer := connect(t, dsn)
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			tick := time.NewTicker(60 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				if _, err := killer.Exec(context.Background(), `select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1`, schema); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					stream := event.StreamID(fmt.Sprintf("w-%d", w))
					events := pending(1 + i%4)
					for {
						_, err := s.Append(t.Context(), stream, store.Any(), events...)
						if err == nil {
							break
						}
						if !errors.Is(err, store.ErrUnavailable) {
							t.Errorf("writer %d: %v", w, err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		close(stop)
		<-killed
		want := 0
		for i := range each {
			want += writers * (1 + i%4)
		}
		var got int
		for range 5 { // the last kill may still hit the first read
			if _, err := s.Head(t.Context()); err == nil {
				break
			}
		}
		if got = checkGapless(t, s); got != want {
			t.Errorf("the log has %d events, want %d", got, want)
		}
	})
}

func TestCancellingOneCallerLeavesTheOthersAlone(t *testing.T) {
	dsn := server(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		schema := newSchema(t, dsn)
		s := store.New(open(t, dsn, pgstore.Options{Schema: schema, AppendMode: mode}), store.Options{})
		p := pauseCommits(t, dsn, schema)
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := make(chan error, 1)
		e := pending(1)
		go func() {
			_, err := s.Append(ctx, "a-1", store.NoStream(), e...)
			cancelled <- err
		}()
		<-p.reached
		others := make(chan error, 1)
		go func() {
			_, err := s.Append(t.Context(), "b-1", store.NoStream(), pending(1)...)
			others <- err
		}()
		cancel()
		if err := <-cancelled; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("the cancelled append: %v", err)
		}
		p.resume()
		if err := <-others; err != nil {
			t.Errorf("the other append: %v", err)
		}
		if res, err := s.Append(t.Context(), "a-1", store.NoStream(), e...); err != nil || !res.Duplicate {
			t.Errorf("the retry: %+v, %v", res, err)
		}
	})
}

func TestForeignTransactionsStallNothing(t *testing.T) {
	dsn := server(t, debianServer)
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
	dsn := server(t, debianServer)
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
	dsn := server(t, debianServer)
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

func TestTheUsersSQLIsPartOfTheTransaction(t *testing.T) {
	dsn := server(t, debianServer)
	schema := newSchema(t, dsn)
	s := store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{})
	execute(t, dsn, `create table `+schema+`.orders (id text primary key)`)
	refused := errors.New("refused")
	for i, want := range []error{nil, refused} {
		err := s.Transact(t.Context(), func(ctx context.Context) error {
			tx, ok := pgstore.Tx(ctx)
			if !ok {
				t.Fatal("no transaction in the context")
			}
			if _, err := tx.Exec(ctx, `insert into `+schema+`.orders values ($1)`, fmt.Sprint(i)); err != nil {
				return err
			}
			if _, err := s.Append(ctx, "order-1", store.Exactly(event.Version(i)), pending(1)...); err != nil {
				return err
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("round %d: got %v, want %v", i, err, want)
		}
	}
	var orders, events int
	err := connect(t, dsn).QueryRow(t.Context(), `select (select count(*) from `+schema+`.orders), (select count(*) from `+schema+`.events_json where data->>'n' = '1')`).Scan(&orders, &events)
	if err != nil || orders != 1 || events != 1 {
		t.Errorf("%d orders and %d events are stored, want 1 of each (%v)", orders, events, err)
	}
	if _, ok := pgstore.Tx(t.Context()); ok {
		t.Error("a transaction in a context without one")
	}
	var kept context.Context
	if err := s.Transact(t.Context(), func(ctx context.Context) error { kept = ctx; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(kept); err == nil {
		t.Error("the context of a transaction that has ended still works")
	}
}

func TestReadOnly(t *testing.T) {
	dsn := server(t, debianServer)
	schema := newSchema(t, dsn)
	mustAppend(t, store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{}), "a-1", 1)
	for what, how := range map[string]struct {
		suffix string
		o      store.OpenOptions
	}{
		"by option": {"", store.OpenOptions{ReadOnly: true}}, "by the server": {"&default_transaction_read_only=on", store.OpenOptions{}},
	} {
		b, err := pgstore.Driver().Open(t.Context(), dsn+"&schema="+schema+how.suffix, how.o)
		if err != nil {
			t.Fatal(err)
		}
		s := store.New(b, store.Options{})
		if n := checkGapless(t, s); n != 1 {
			t.Errorf("%s: read %d events", what, n)
		}
		if _, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: append gave %v", what, err)
		}
		if _, err := s.Apply(t.Context(), store.Put("b", "k", nil)); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: apply gave %v", what, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestExpiredRecordsAreSwept(t *testing.T) {
	dsn := server(t, debianServer)
	schema := newSchema(t, dsn)
	s := store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{})
	for i := range 5 {
		if _, err := s.Apply(t.Context(), store.Put("b", fmt.Sprint(i), nil).For(time.Microsecond)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Apply(t.Context(), store.Put("b", "last", nil).For(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := connect(t, dsn).QueryRow(t.Context(), `select count(*) from `+schema+`.records`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d records are left, want 1 (%v)", left, err)
	}
}

func TestEventIDsAreFoundInAnyBatch(t *testing.T) {
	dsn := server(t, debianServer)
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

func TestTLSAndPoolSettingsComeFromTheDSN(t *testing.T) {
	dsn := server(t, debianServer)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("sslmode", "require") // the test server has no TLS, so the setting must make opening fail
	u.RawQuery = query.Encode()
	if _, err := pgstore.Open(t.Context(), u.String(), pgstore.Options{}); err == nil || !strings.Contains(strings.ToLower(err.Error()), "tls") {
		t.Errorf("sslmode=require without TLS: got %v", err)
	}
}
