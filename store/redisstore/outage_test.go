package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
)

func TestALostAnswerOfAnAppendIsFoundOut(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	for _, n := range []int{1, 3, 40} {
		for what, expected := range map[string]store.Expected{"exact version": store.Exactly(2), "any version": store.Any()} {
			p := newProxy(t, url)
			name := newName(t, url)
			s := store.New(open(t, p.url, redisstore.Options{Name: name}), store.Options{})
			direct := store.New(open(t, url, redisstore.Options{Name: name}), store.Options{})
			mustAppend(t, s, "a-1", 2)
			p.Swallow(true) // the server appends, its answer is lost
			done := make(chan error, 1)
			var res store.Result
			go func() {
				var err error
				res, err = s.Append(t.Context(), "a-1", expected, pending(n)...)
				done <- err
			}()
			eventually(t, "the append", func() bool {
				head, err := direct.Head(t.Context())
				return err == nil && int(head) == 2+n
			})
			select {
			case err := <-done:
				t.Fatalf("the append was answered without an answer: %v", err)
			default:
			}
			p.Swallow(false)
			p.Cut()
			if err := <-done; err != nil || res.Duplicate || res.Version() != event.Version(2+n) || res.First != 3 {
				t.Errorf("%d events, %s: got %+v, %v", n, what, res, err)
			}
			if _, got := checkLog(t, direct); got != 2+n {
				t.Errorf("%d events, %s: the log has %d, want %d", n, what, got, 2+n)
			}
		}
	}
}

// An append that is lost on its way to the server is sent again, and is not a duplicate of anything.
func TestALostAppendIsSentAgain(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	p := newProxy(t, url)
	s := store.New(open(t, p.url, redisstore.Options{Name: newName(t, url)}), store.Options{})
	const writers, each = 16, 40
	stop := make(chan struct{})
	var cutter, wg sync.WaitGroup
	cutter.Go(func() {
		tick := time.NewTicker(7 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.Cut()
			case <-stop:
				return
			}
		}
	})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				res, err := s.Append(t.Context(), event.StreamID(fmt.Sprintf("w-%d", w)), store.Exactly(event.Version(2*i)), pending(2)...)
				if err != nil || res.Duplicate {
					t.Errorf("writer %d, append %d: %+v, %v", w, i, res, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	cutter.Wait()
	if _, got := checkLog(t, s); got != writers*each*2 {
		t.Errorf("the log has %d events, want %d", got, writers*each*2)
	}
}

func TestAppendsWaitForAServerThatComesBack(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	p := newProxy(t, url)
	s := store.New(open(t, p.url, redisstore.Options{Name: newName(t, url)}), store.Options{})
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
	if _, n := checkLog(t, s); n != writers+1 {
		t.Errorf("the log has %d events, want %d", n, writers+1)
	}
}

func TestAppendsGiveUpOnAServerThatStaysAway(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	p := newProxy(t, url)
	s := store.New(open(t, p.url, redisstore.Options{Name: newName(t, url), ReconnectFor: 50 * time.Millisecond}), store.Options{})
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
	p.Refuse(false)
	eventually(t, "an append after the server is back", func() bool {
		_, err := s.Append(t.Context(), "a-1", store.Any(), pending(1)...)
		return err == nil
	})
}

func TestCloseDoesNotWaitForAServerThatStaysAway(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	p := newProxy(t, url)
	s := store.New(open(t, p.url, redisstore.Options{Name: newName(t, url), ReconnectFor: time.Hour}), store.Options{})
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
}

func TestACallEndsWithItsContextAlthoughTheServerIsSilent(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	p := newProxy(t, url)
	s := store.New(open(t, p.url, redisstore.Options{Name: newName(t, url)}), store.Options{})
	mustAppend(t, s, "a-1", 1)
	p.Swallow(true)
	for what, call := range map[string]func(ctx context.Context) error{
		"head":  func(ctx context.Context) error { _, err := s.Head(ctx); return err },
		"get":   func(ctx context.Context) error { _, err := s.Get(ctx, "b", "k"); return err },
		"apply": func(ctx context.Context) error { _, err := s.Apply(ctx, store.Put("b", "k", nil)); return err },
		"append": func(ctx context.Context) error {
			_, err := s.Append(ctx, "a-1", store.Any(), pending(1)...)
			return err
		},
		"read": func(ctx context.Context) error {
			for _, err := range s.ReadLog(ctx, store.LogRead{}) {
				return err
			}
			return nil
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(20*time.Millisecond, cancel)
		start := time.Now()
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", what, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: ended %v after it was cancelled", what, took)
		}
		timer.Stop()
		cancel()
	}
	p.Swallow(false)
	p.Cut()
}
