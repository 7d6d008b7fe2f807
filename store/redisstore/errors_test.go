package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
)

func TestPasswordsNeverShow(t *testing.T) {
	const secret = "s3cr3t-pa55"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	urls := []string{
		"redis://u:" + secret + "@127.0.0.1:1/0?nonsense=1",
		"redis://u:" + secret + "@127.0.0.1:port/0",
		"redis://u:" + secret + "@127.0.0.1:1/0?wait_replicas=" + secret,
		"redis://u:" + secret + "@127.0.0.1:1/" + secret,
		"redis://u:%zz" + secret + "@127.0.0.1:1/0",
		"redis://u:a?" + secret + "@127.0.0.1:1/0",
		"redis://u:" + secret + "@127.0.0.1:1/0",
		"redis://u:" + secret + "@127.0.0.1:1/0?name=not{a}name",
		"redis:" + secret,
	}
	own := testserver.StartRedis(t, "--requirepass", "other")
	urls = append(urls, strings.Replace(own.URL, "redis://", "redis://:"+secret+"@", 1))
	for _, url := range urls {
		_, err := redisstore.Driver().Open(ctx, url, store.OpenOptions{})
		if err == nil {
			t.Errorf("%s was opened", url)
			continue
		}
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, secret) {
			t.Errorf("%s: the error shows the password: %s", url, text)
		}
	}
	if _, err := redisstore.Open(ctx, urls[len(urls)-1], redisstore.Options{}); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: got %v", err)
	}
}

func TestURLParameters(t *testing.T) {
	for url, want := range map[string]string{
		"redis://127.0.0.1:1/0?nonsense=1":           "unknown: nonsense",
		"redis://127.0.0.1:1/0?wait_timeout=soon":    "wait_timeout of a wrong form",
		"redis://127.0.0.1:1/x":                      "number of a database",
		"redis://127.0.0.1:1/0?name=a%20b":           "must be 1 to 64 letters",
		"redis://127.0.0.1:1/0?wait_replicas=-1":     "must not be negative",
		"redis://127.0.0.1:1/0?require_durable=very": "require_durable of a wrong form",
	} {
		_, err := redisstore.Open(t.Context(), url, redisstore.Options{})
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
	if _, err := redisstore.Open(t.Context(), "redis://127.0.0.1:1/0?name=a", redisstore.Options{Name: "b"}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("two names: got %v", err)
	}
}

func TestUnreachableServers(t *testing.T) {
	if _, err := redisstore.Open(t.Context(), "redis://127.0.0.1:1/0", redisstore.Options{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("nobody listens: got %v, want ErrUnavailable", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connections are made, and nothing is ever answered
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = redisstore.Open(ctx, "redis://"+silent.Addr().String()+"/0?read_timeout=500ms", redisstore.Options{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent server: got %v, want the end of the context", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("opening ended %v after it began, the context after 100ms", took)
	}
}

func TestStoresAreMadeOnRequestOnly(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	name := newName(t, url)
	ctx := t.Context()
	_, err := redisstore.Open(ctx, url, redisstore.Options{Name: name, OnWarning: quiet})
	if !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), "lexevents migrate up") {
		t.Fatalf("a missing store: got %v", err)
	}
	b, err := redisstore.Open(ctx, url, redisstore.Options{Name: name, Pending: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if list, err := b.Migrations(ctx); err != nil || len(list) != 1 || list[0].Applied {
		t.Fatalf("before: %v, %v", list, err)
	}
	if applied, err := b.Migrate(ctx); err != nil || len(applied) != 1 {
		t.Fatalf("applied %v, %v", applied, err)
	}
	if applied, err := b.Migrate(ctx); err != nil || len(applied) != 0 {
		t.Fatalf("again: applied %v, %v", applied, err)
	}
	if list, err := b.Migrations(ctx); err != nil || !list[0].Applied {
		t.Fatalf("after: %v, %v", list, err)
	}
	s := store.New(open(t, url, redisstore.Options{Name: name}), store.Options{})
	mustAppend(t, s, "a-1", 1)
	c := client(t, url)
	for version, want := range map[string]string{"0": "needed is 1", "2": "newer program"} {
		c.HSet(ctx, "{"+name+"}:meta", "schema", version)
		if _, err := redisstore.Open(ctx, url, redisstore.Options{Name: name}); !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), want) {
			t.Errorf("version %s: got %v", version, err)
		}
		if _, err := s.Append(ctx, "a-1", store.Any(), pending(1)...); !errors.Is(err, store.ErrIncompatible) {
			t.Errorf("version %s while the store is open: append gave %v", version, err)
		}
		if _, err := s.Apply(ctx, store.Put("b", "k", nil)); !errors.Is(err, store.ErrIncompatible) {
			t.Errorf("version %s while the store is open: apply gave %v", version, err)
		}
	}
	remove(t, c, name)
	for what, call := range map[string]func() error{
		"append": func() error { _, err := s.Append(ctx, "a-1", store.Any(), pending(1)...); return err },
		"head":   func() error { _, err := s.Head(ctx); return err },
		"read":   func() error { return drain(s, store.LogRead{}) },
		"delete": func() error { _, err := s.Delete(ctx, "a-1", store.Exactly(1)); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrIncompatible) {
			t.Errorf("%s after the store was removed: got %v, want ErrIncompatible", what, err)
		}
	}
	if n := c.Exists(ctx, "{"+name+"}:e:0", "{"+name+"}:meta").Val(); n != 0 {
		t.Error("a removed store was written to")
	}
}

func drain(s *store.Store, r store.LogRead) error {
	for _, err := range s.ReadLog(context.Background(), r) {
		if err != nil {
			return err
		}
	}
	return nil
}

// Keys of another program among ours are refused, at opening and later, and nothing is half written.
func TestForeignKeysAreRefused(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	c := client(t, url)
	ctx := t.Context()
	for key, set := range map[string]func(key string) error{
		"meta":  func(k string) error { return c.Set(ctx, k, "x", 0).Err() },
		"ids":   func(k string) error { return c.HSet(ctx, k, "a", "b").Err() },
		"e:0":   func(k string) error { return c.RPush(ctx, k, "x").Err() },
		"names": func(k string) error { return c.Set(ctx, k, "x", 0).Err() },
	} {
		name := newName(t, url)
		if err := set("{" + name + "}:" + key); err != nil {
			t.Fatal(err)
		}
		_, err := redisstore.Open(ctx, url, redisstore.Options{Name: name, AutoMigrate: true})
		if !errors.Is(err, store.ErrIncompatible) {
			t.Errorf("a foreign key %s: got %v, want ErrIncompatible", key, err)
		}
	}
	name := newName(t, url)
	if err := c.HSet(ctx, "{"+name+"}:meta", "schema", "1", "program", "another").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := redisstore.Open(ctx, url, redisstore.Options{Name: name, AutoMigrate: true}); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("another program's hash: got %v, want ErrIncompatible", err)
	}

	name = newName(t, url)
	s := store.New(open(t, url, redisstore.Options{Name: name}), store.Options{})
	mustAppend(t, s, "a-1", 1)
	for _, key := range []string{"s:b-1", "c:b", "t:odd", "g:odd:1", "e:1"} {
		full := "{" + name + "}:" + key
		if err := c.Set(ctx, full, "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		events := pending(2)
		events[1].Type, events[1].Tags = "odd", []event.Tag{"odd:1"}
		if key == "e:1" {
			events = append(events, pending(1100)...)
		}
		fine := make(chan error, 1)
		go func() {
			_, err := s.Append(ctx, "fine-1", store.Any(), pending(1)...)
			fine <- err
		}()
		_, err := s.Append(ctx, "b-1", store.Any(), events...)
		if !errors.Is(err, store.ErrIncompatible) && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("key %s: got %v, want ErrIncompatible", key, err)
		}
		if err := <-fine; err != nil && key != "e:1" {
			t.Errorf("key %s: its neighbour got %v", key, err)
		}
		if err := c.Del(ctx, full).Err(); err != nil {
			t.Fatal(err)
		}
		versions, count := checkLog(t, s)
		if versions["b-1"] != 0 {
			t.Errorf("key %s: %d events were written", key, versions["b-1"])
		}
		if n := c.HLen(ctx, "{"+name+"}:ids").Val(); int(n) != count {
			t.Errorf("key %s: %d ids of %d events", key, n, count)
		}
	}
	if _, err := s.Append(ctx, "b-1", store.NoStream(), pending(3)...); err != nil {
		t.Errorf("once the keys are gone: %v", err)
	}
}

func TestAFullServerStoresNothingAndCanBeTruncated(t *testing.T) {
	own := testserver.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	s := store.New(open(t, own.URL, redisstore.Options{}), store.Options{})
	ctx := t.Context()
	for range 20 {
		mustAppend(t, s, "a-1", 100)
	}
	if _, err := s.Apply(ctx, store.Put("b", "k", []byte("old"))); err != nil {
		t.Fatal(err)
	}
	own.Do("config", "set", "maxmemory", "1mb")
	if _, err := s.Append(ctx, "a-1", store.Any(), pending(2)...); !errors.Is(err, store.ErrFull) {
		t.Errorf("append: got %v, want ErrFull", err)
	}
	if _, err := s.Apply(ctx, store.Put("b", "k", []byte("new"))); !errors.Is(err, store.ErrFull) {
		t.Errorf("apply: got %v, want ErrFull", err)
	}
	if _, n := checkLog(t, s); n != 2000 {
		t.Errorf("the log has %d events, want 2000", n)
	}
	if r, err := s.Get(ctx, "b", "k"); err != nil || string(r.Value) != "old" {
		t.Errorf("the record is %q, %v", r.Value, err)
	}
	if removed, err := s.Truncate(ctx, "a-1", 1900); err != nil || removed != 1899 {
		t.Errorf("a truncation of a full server removed %d, %v", removed, err)
	}
	own.Do("config", "set", "maxmemory", "0")
	if _, err := s.Append(ctx, "a-1", store.Exactly(2000), pending(1)...); err != nil {
		t.Error(err)
	}
}

func TestReplicasAreRefusedUnlessForReading(t *testing.T) {
	primary := testserver.StartRedis(t, "--repl-diskless-sync-delay", "0")
	s := store.New(open(t, primary.URL, redisstore.Options{}), store.Options{})
	mustAppend(t, s, "a-1", 3)
	replica := testserver.StartRedis(t, "--repl-diskless-sync-delay", "0")
	other := store.New(open(t, replica.URL, redisstore.Options{}), store.Options{})
	replica.Do("replicaof", "127.0.0.1", fmt.Sprint(primary.Port))
	eventually(t, "replication", func() bool { return replica.Client.HGet(t.Context(), "{lexigram}:meta", "head").Val() == "3" })
	if _, err := redisstore.Open(t.Context(), replica.URL, redisstore.Options{}); !errors.Is(err, store.ErrReadOnly) || !strings.Contains(err.Error(), "replica") {
		t.Errorf("opening a replica: got %v, want ErrReadOnly", err)
	}
	if _, err := other.Append(t.Context(), "a-1", store.Any(), pending(1)...); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("append where the server has become a replica: got %v, want ErrReadOnly", err)
	}
	b, err := redisstore.Open(t.Context(), replica.URL, redisstore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	reader := store.New(b, store.Options{})
	defer reader.Close()
	if _, n := checkLog(t, reader); n != 3 {
		t.Errorf("the replica has %d events, want 3", n)
	}
	for e, err := range reader.ReadStream(t.Context(), store.StreamRead{Stream: "a-1", From: 3}) {
		if err != nil || e.Version != 3 {
			t.Errorf("reading a stream of the replica: %v, %v", e, err)
		}
	}
	if _, err := reader.Append(t.Context(), "a-1", store.Any(), pending(1)...); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("append: got %v, want ErrReadOnly", err)
	}
}

func TestOtherClientsAreRefused(t *testing.T) {
	if _, err := redisstore.New(redis.NewRing(&redis.RingOptions{}), redisstore.Options{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
