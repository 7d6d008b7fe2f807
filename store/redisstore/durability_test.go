package redisstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/redisstore"
)

func TestDurabilityIsSaidAndMayBeRequired(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string // "" where it is durable
	}{
		{[]string{"--appendonly", "yes", "--appendfsync", "always"}, ""},
		{[]string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "volatile-lru"}, ""},
		{[]string{"--appendonly", "yes", "--appendfsync", "everysec"}, "the last second"},
		{[]string{"--appendonly", "yes", "--appendfsync", "no"}, "appendfsync is no"},
		{[]string{"--appendonly", "no"}, "a restart loses everything"},
		{[]string{"--appendonly", "no", "--save", "60 1"}, "after the last snapshot (save 60 1)"},
		{[]string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru"}, "throws events away"},
		{[]string{"--appendonly", "yes", "--appendfsync", "always", "--rename-command", "CONFIG", ""}, "does not tell appendfsync"},
	} {
		own := testserver.StartRedis(t, c.args...)
		var warnings []string
		b := open(t, own.URL, redisstore.Options{OnWarning: func(text string) { warnings = append(warnings, text) }})
		d, err := b.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		strict, err := redisstore.Open(t.Context(), own.URL+"?require_durable=true", redisstore.Options{})
		if c.says == "" {
			if err != nil || len(warnings) > 0 || !strings.HasPrefix(d.Durability, "on disk before it is acknowledged") {
				t.Errorf("%v: described as %q, warned %q, required: %v", c.args, d.Durability, warnings, err)
			} else if err := strict.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if !strings.Contains(d.Durability, c.says) {
			t.Errorf("%v: described as %q, want %q", c.args, d.Durability, c.says)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], c.says) {
			t.Errorf("%v: warned %q, want %q", c.args, warnings, c.says)
		}
		if !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: required, got %v, want %q", c.args, err, c.says)
		}
	}
}

func TestAppendsWaitForReplicas(t *testing.T) {
	primary := testserver.StartRedis(t, "--repl-diskless-sync-delay", "0")
	replica := testserver.StartRedis(t)
	replica.Do("replicaof", "127.0.0.1", fmt.Sprint(primary.Port))
	eventually(t, "replication", func() bool {
		return strings.Contains(primary.Client.Info(t.Context(), "replication").Val(), "state=online")
	})
	s := store.New(open(t, primary.URL, redisstore.Options{WaitReplicas: 1, WaitTimeout: 5 * time.Second}), store.Options{})
	for i := range 20 {
		mustAppend(t, s, "a-1", 1)
		if got := replica.Client.LLen(t.Context(), "{lexigram}:s:a-1").Val(); got != int64(i+1) {
			t.Errorf("append %d was acknowledged when the replica had %d", i+1, got)
		}
	}
	if d, err := s.Describe(t.Context()); err != nil || !strings.Contains(d.Durability, "received by 1 replicas") {
		t.Errorf("described as %q, %v", d.Durability, err)
	}
	replica.Kill()
	s = store.New(open(t, primary.URL+"?wait_timeout=50ms", redisstore.Options{}), store.Options{})
	mustAppend(t, s, "b-1", 1) // does not wait
	short, err := redisstore.Open(t.Context(), primary.URL+"?wait_replicas=1&wait_timeout=50ms", redisstore.Options{OnWarning: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s = store.New(short, store.Options{})
	defer s.Close()
	events := pending(2)
	for range 2 { // the retry is a duplicate, and waits again
		_, err = s.Append(t.Context(), "c-1", store.NoStream(), events...)
		var shortfall *redisstore.ReplicationError
		if !errors.As(err, &shortfall) || !errors.Is(err, store.ErrUnavailable) || shortfall.Confirmed != 0 || shortfall.Wanted != 1 ||
			!strings.Contains(err.Error(), "stored on the primary, but confirmed by 0 of 1 replicas") {
			t.Errorf("without the replica: got %v", err)
		}
	}
	if _, err := s.Apply(t.Context(), store.Put("b", "k", []byte("v"))); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("apply: got %v", err)
	}
	if info, err := s.StreamInfo(t.Context(), "c-1"); err != nil || info.Version != 2 {
		t.Errorf("the append is not stored: %+v, %v", info, err)
	}
	if r, err := s.Get(t.Context(), "b", "k"); err != nil || string(r.Value) != "v" {
		t.Errorf("the record is not stored: %+v, %v", r, err)
	}
}

func TestExpiredRecordsAreRemoved(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	name := newName(t, url)
	s := store.New(open(t, url, redisstore.Options{Name: name}), store.Options{})
	ctx := t.Context()
	c := client(t, url)
	var ops []store.Op
	for i := range 50 {
		ops = append(ops, store.Put("b", string(rune('A'+i)), []byte("v")).For(time.Millisecond))
	}
	if _, err := s.Apply(ctx, append(ops, store.Put("b", "stays", nil), store.Put("b", "later", nil).For(time.Hour))...); err != nil {
		t.Fatal(err)
	}
	var writes atomic.Int64
	eventually(t, "removal of what has expired", func() bool {
		if _, err := s.Apply(ctx, store.Put("other", "k", nil)); err != nil {
			t.Fatal(err)
		}
		writes.Add(1)
		return c.HLen(ctx, "{"+name+"}:r:b").Val() == 2
	})
	if keys, expiring := c.ZCard(ctx, "{"+name+"}:k:b").Val(), c.ZCard(ctx, "{"+name+"}:expiry").Val(); keys != 2 || expiring != 1 {
		t.Errorf("%d keys and %d expiries are left, want 2 and 1", keys, expiring)
	}
}
