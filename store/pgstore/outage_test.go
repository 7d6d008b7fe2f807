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

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/netfault"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

// proxy stands between the store and the server, and can fail as networks and servers do.
type proxy struct {
	*netfault.Proxy
	url string // of the server, through the proxy
}

func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p, err := netfault.Start(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	u.Host = p.Addr()
	return &proxy{Proxy: p, url: u.String()}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestAppendsWaitForAServerThatComesBack(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		p := newProxy(t, dsn)
		s := store.New(open(t, p.url, pgstore.Options{Schema: newSchema(t, dsn), AppendMode: mode}), store.Options{})
		mustAppend(t, s, "a-1", 1)
		p.Refuse(true)
		p.Cut()
		const writers = 8
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				if _, err := s.Append(t.Context(), event.StreamID(fmt.Sprintf("w-%d", w)), store.NoStream(), pending(1)...); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			})
		}
		eventually(t, "several attempts to connect", func() bool { return p.Refused() >= 3 })
		p.Refuse(false)
		wg.Wait()
		s = store.New(open(t, p.url, pgstore.Options{Schema: schemaOf(t, s)}), store.Options{})
		if n := checkGapless(t, s); n != writers+1 {
			t.Errorf("the log has %d events, want %d", n, writers+1)
		}
	})
}

func schemaOf(t *testing.T, s *store.Store) string {
	t.Helper()
	var location string
	eventually(t, "an answer of the server", func() bool {
		d, err := s.Describe(context.Background())
		location = d.Location
		return err == nil
	})
	_, schema, _ := strings.Cut(location, "schema ")
	return schema
}

func TestALostAnswerOfACommitIsFoundOut(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		for _, n := range []int{1, 3, 40} {
			p := newProxy(t, dsn)
			schema := newSchema(t, dsn)
			s := store.New(open(t, p.url, pgstore.Options{Schema: schema, AppendMode: mode}), store.Options{})
			direct := store.New(open(t, dsn, pgstore.Options{Schema: schema}), store.Options{})
			mustAppend(t, s, "a-1", 2)
			hold := pauseCommits(t, dsn, schema)
			done := make(chan error, 1)
			var res store.Result
			go func() {
				var err error
				res, err = s.Append(t.Context(), "a-1", store.Exactly(2), pending(n)...)
				done <- err
			}()
			<-hold.reached
			p.Swallow(true) // the server commits, its answer is lost
			hold.resume()
			eventually(t, "the commit", func() bool {
				head, err := direct.Head(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return int(head) == 2+n
			})
			p.Swallow(false)
			p.Cut()
			if err := <-done; err != nil || res.Duplicate || res.Version() != event.Version(2+n) || res.First != 3 {
				t.Errorf("%d events: got %+v, %v", n, res, err)
			}
			if got := checkGapless(t, direct); got != 2+n {
				t.Errorf("%d events: the log has %d, want %d", n, got, 2+n)
			}
		}
	})
}

func TestAppendsGiveUpOnAServerThatStaysAway(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		p := newProxy(t, dsn)
		s := store.New(open(t, p.url, pgstore.Options{Schema: newSchema(t, dsn), AppendMode: mode, ReconnectFor: 50 * time.Millisecond}), store.Options{})
		mustAppend(t, s, "a-1", 1)
		p.Refuse(true)
		p.Cut()
		for range 2 {
			if _, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		}
		if _, err := s.Head(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("head: got %v, want ErrUnavailable", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := s.Append(ctx, "a-1", store.Any(), pending(1)...); err == nil {
			t.Error("an append succeeded without a server")
		}
		p.Refuse(false)
		eventually(t, "an append after the server is back", func() bool {
			_, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...)
			return err == nil
		})
	})
}

func TestCloseDoesNotWaitForAServerThatStaysAway(t *testing.T) {
	dsn := testserver.URL(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		p := newProxy(t, dsn)
		s := store.New(open(t, p.url, pgstore.Options{Schema: newSchema(t, dsn), AppendMode: mode, ReconnectFor: time.Hour}), store.Options{})
		mustAppend(t, s, "a-1", 1)
		p.Refuse(true)
		p.Cut()
		failed := make(chan error, 1)
		go func() {
			_, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...)
			failed <- err
		}()
		eventually(t, "an attempt to connect", func() bool { return p.Refused() >= 2 })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the append that was waiting: got %v, want ErrUnavailable", err)
		}
	})
}
