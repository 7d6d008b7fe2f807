package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

func TestAppendsSurviveTheEndOfTheirConnection(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
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
	dsn := testserver.URL(t, debianServer)
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
	dsn := testserver.URL(t, debianServer)
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
