package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/pgstore"
)

// proxy stands between the store and the server, and can fail as networks and servers do.
type proxy struct {
	url      string // of the server, through the proxy
	target   string
	listener net.Listener
	down     atomic.Bool  // connections are closed as soon as they are made
	refused  atomic.Int64 // how many were
	swallow  atomic.Bool  // what the server answers is lost

	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host, listener: listener, conns: map[net.Conn]bool{}}
	u.Host = listener.Addr().String()
	p.url = u.String()
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.down.Store(true)
		_ = listener.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.down.Load() {
			p.refused.Add(1)
			_ = client.Close()
			continue
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.carry(client, server, false) })
		p.wg.Go(func() { p.carry(server, client, true) })
	}
}

func (p *proxy) carry(from, to net.Conn, answers bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !(answers && p.swallow.Load()) {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = from.Close()
	_ = to.Close()
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
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
	dsn := server(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		p := newProxy(t, dsn)
		s := store.New(open(t, p.url, pgstore.Options{Schema: newSchema(t, dsn), AppendMode: mode}), store.Options{})
		mustAppend(t, s, "a-1", 1)
		p.down.Store(true)
		p.cut()
		const writers = 8
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				if _, err := s.Append(t.Context(), event.StreamID(fmt.Sprintf("w-%d", w)), store.NoStream(), pending(1)...); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			})
		}
		eventually(t, "several attempts to connect", func() bool { return p.refused.Load() >= 3 })
		p.down.Store(false)
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
	dsn := server(t, debianServer)
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
			p.swallow.Store(true) // the server commits, its answer is lost
			hold.resume()
			eventually(t, "the commit", func() bool {
				head, err := direct.Head(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return int(head) == 2+n
			})
			p.swallow.Store(false)
			p.cut()
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
	dsn := server(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		p := newProxy(t, dsn)
		s := store.New(open(t, p.url, pgstore.Options{Schema: newSchema(t, dsn), AppendMode: mode, ReconnectFor: 50 * time.Millisecond}), store.Options{})
		mustAppend(t, s, "a-1", 1)
		p.down.Store(true)
		p.cut()
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
		p.down.Store(false)
		eventually(t, "an append after the server is back", func() bool {
			_, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...)
			return err == nil
		})
	})
}

func TestCloseDoesNotWaitForAServerThatStaysAway(t *testing.T) {
	dsn := server(t, debianServer)
	eachMode(t, func(t *testing.T, mode pgstore.AppendMode) {
		p := newProxy(t, dsn)
		s := store.New(open(t, p.url, pgstore.Options{Schema: newSchema(t, dsn), AppendMode: mode, ReconnectFor: time.Hour}), store.Options{})
		mustAppend(t, s, "a-1", 1)
		p.down.Store(true)
		p.cut()
		failed := make(chan error, 1)
		go func() {
			_, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...)
			failed <- err
		}()
		eventually(t, "an attempt to connect", func() bool { return p.refused.Load() >= 2 })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the append that was waiting: got %v, want ErrUnavailable", err)
		}
	})
}
