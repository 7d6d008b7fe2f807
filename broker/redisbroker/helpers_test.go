package redisbroker_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/redisbroker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/netfault"
)

// The servers that the tests run on, by the variable that names their URL.
const (
	defaultServer = "TEST_REDIS_URL"
	durableServer = "TEST_REDIS_DURABLE_URL"
)

// lease is short, so that what a dead member held goes on soon.
const lease = time.Second

// client connects for the test's own commands.
func client(tb testing.TB, brokerURL string) *redis.Client {
	tb.Helper()
	u, err := url.Parse(brokerURL)
	if err != nil {
		tb.Fatal(err)
	}
	u.RawQuery = ""
	o, err := redis.ParseURL(u.String())
	if err != nil {
		tb.Fatal(err)
	}
	c := redis.NewClient(o)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// newPrefix makes a prefix for one test; its keys are removed when the test ends.
func newPrefix(tb testing.TB, brokerURL string) string {
	tb.Helper()
	id := event.NewID()
	prefix := "test-" + strings.ReplaceAll(id.String(), "-", "")
	c := client(tb, brokerURL)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var keys []string
		all := c.Scan(ctx, 0, "{"+prefix+":*", 5000).Iterator()
		for all.Next(ctx) {
			keys = append(keys, all.Val())
		}
		if len(keys) > 0 && all.Err() == nil {
			if err := c.Unlink(ctx, keys...).Err(); err != nil {
				tb.Error(err)
			}
		}
		if err := all.Err(); err != nil {
			tb.Error(err)
		}
	})
	return prefix
}

func quiet(string) {}

// open opens a broker; it is closed when the test ends.
func open(tb testing.TB, brokerURL string, o redisbroker.Options) *redisbroker.Backend {
	tb.Helper()
	if o.OnWarning == nil {
		o.OnWarning = quiet
	}
	if o.Lease == 0 {
		o.Lease = lease
	}
	b, err := redisbroker.Open(tb.Context(), brokerURL, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// proxies stand between handles and the server, one for each handle.
type proxies struct {
	mu  sync.Mutex
	all map[broker.Backend]*netfault.Proxy
}

// through opens a broker behind a proxy of its own.
func (p *proxies) through(tb testing.TB, brokerURL string, o redisbroker.Options) *redisbroker.Backend {
	tb.Helper()
	u, err := url.Parse(brokerURL)
	if err != nil {
		tb.Fatal(err)
	}
	proxy, err := netfault.Start(u.Host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(proxy.Close)
	u.Host = proxy.Addr()
	b := open(tb, u.String(), o)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[broker.Backend]*netfault.Proxy{}
	}
	p.all[b] = proxy
	return b
}

func (p *proxies) of(b broker.Backend) *netfault.Proxy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[b]
}

// kill takes the network away from a handle, for ever: what it holds it cannot give back.
func (p *proxies) kill(b broker.Backend) {
	proxy := p.of(b)
	proxy.Refuse(true)
	proxy.Cut()
}

func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatalf("%s did not happen", what)
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
