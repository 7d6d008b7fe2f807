package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

// alone opens a store in which the next append of one event is made in its caller's goroutine.
func alone(t *testing.T) (s *store.Store, dsn, schema string) {
	t.Helper()
	dsn = testserver.URL(t, debianServer)
	schema = newSchema(t, dsn)
	s = store.New(open(t, dsn+"&application_name="+schema, pgstore.Options{Schema: schema}), store.Options{})
	mustAppend(t, s, "first-1", 1) // by the queue, which finds the server
	mustAppend(t, s, "second-1", 1)
	return s, dsn, schema
}

// appenders gives the connections that have last run append_one.
func appenders(t *testing.T, dsn, schema string) (n int) {
	t.Helper()
	err := connect(t, dsn).QueryRow(t.Context(), `select count(*) from pg_stat_activity where application_name = $1 and query like '%append_one%'`, schema).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestALoneAppendHasAConnectionOfItsOwn(t *testing.T) {
	s, dsn, schema := alone(t)
	if n := appenders(t, dsn, schema); n != 2 {
		t.Errorf("%d connections have appended an event, want that of the batches and that of lone appends", n)
	}
	res := mustAppend(t, s, "second-1", 1)
	if res.First != 3 || res.Last != 3 || res.Version() != 2 || res.Duplicate {
		t.Errorf("got %+v, want version 2 at position 3", res)
	}
	mustAppend(t, s, "second-1", 5) // by COPY
	mustAppend(t, s, "second-1", 1)
	if n := checkGapless(t, s); n != 9 {
		t.Errorf("the log has %d events, want 9", n)
	}
}

func TestALoneAppendIsRefusedAsAnyOther(t *testing.T) {
	s, _, _ := alone(t)
	e := pending(1)
	stored, err := s.Append(t.Context(), "a-1", store.NoStream(), e...)
	if err != nil {
		t.Fatal(err)
	}
	var conflict *store.ConflictError
	if _, err := s.Append(t.Context(), "a-1", store.NoStream(), pending(1)...); !errors.As(err, &conflict) || conflict.Actual != 1 {
		t.Errorf("an append that expects no stream: %v", err)
	}
	again, err := s.Append(t.Context(), "a-1", store.NoStream(), e...)
	if err != nil || !again.Duplicate || again.First != stored.First {
		t.Errorf("the same append again: %+v, %v", again, err)
	}
	if again, err = s.Append(t.Context(), "a-1", store.Any(), e...); err != nil || !again.Duplicate {
		t.Errorf("the same append again, expecting any version: %+v, %v", again, err)
	}
	var reused *store.IDReusedError
	if _, err := s.Append(t.Context(), "b-1", store.Any(), e...); !errors.As(err, &reused) {
		t.Errorf("the same id in another stream: %v", err)
	}
	if _, err := s.Delete(t.Context(), "a-1", store.Any()); err != nil {
		t.Fatal(err)
	}
	var deleted *store.StreamDeletedError
	if _, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...); !errors.As(err, &deleted) {
		t.Errorf("an append to a deleted stream: %v", err)
	}
}

func TestTheCallerOfALoneAppendMayLeaveAndItGoesOn(t *testing.T) {
	s, dsn, schema := alone(t)
	p := pauseCommits(t, dsn, schema)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	e := pending(1)
	go func() {
		_, err := s.Append(ctx, "a-1", store.NoStream(), e...)
		left <- err
	}()
	pid := p.pid()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("the cancelled append: %v", err)
	}
	beside := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), "b-1", store.NoStream(), pending(1)...)
		beside <- err
	}()
	p.resume()
	if err := <-beside; err != nil {
		t.Errorf("an append beside it: %v", err)
	}
	if res, err := s.Append(t.Context(), "a-1", store.NoStream(), e...); err != nil || !res.Duplicate {
		t.Errorf("the retry: %+v, %v", res, err)
	}
	var there bool
	if err := connect(t, dsn).QueryRow(t.Context(), `select exists (select from pg_stat_activity where pid = $1)`, pid).Scan(&there); err != nil || !there {
		t.Errorf("the connection of the append was given up: %v", err)
	}
}

func TestALoneAppendSurvivesTheEndOfItsConnection(t *testing.T) {
	s, dsn, schema := alone(t)
	for i, when := range []string{"idle", "in mid-commit"} {
		if when == "idle" {
			execute(t, dsn, fmt.Sprintf(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = '%s' and query like '%%append_one%%'`, schema))
			if res := mustAppend(t, s, "idle-1", 1); res.Duplicate || res.Version() != 1 {
				t.Errorf("%s: %+v", when, res)
			}
			mustAppend(t, s, "idle-1", 1)
			continue
		}
		p := pauseCommits(t, dsn, schema)
		done := make(chan error, 1)
		var res store.Result
		go func() {
			var err error
			res, err = s.Append(t.Context(), event.StreamID(fmt.Sprintf("a-%d", i)), store.NoStream(), pending(1)...)
			done <- err
		}()
		execute(t, dsn, fmt.Sprintf(`select pg_terminate_backend(%d)`, p.pid()))
		p.resume()
		if err := <-done; err != nil || res.Duplicate || res.Version() != 1 {
			t.Errorf("%s: %+v, %v", when, res, err)
		}
	}
	mustAppend(t, s, "after-1", 1)
	if n := checkGapless(t, s); n != 6 {
		t.Errorf("the log has %d events, want 6", n)
	}
}
