package natsbroker_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/netfault"
)

// The servers that the tests run on, by the variable that names their URL.
const (
	defaultServer = "TEST_NATS_URL"
	durableServer = "TEST_NATS_DURABLE_URL"
)

// lease is short, so that what a dead member held goes on soon.
const lease = 2 * time.Second

// client connects for the test's own commands.
func client(tb testing.TB, brokerURL string) jetstream.JetStream {
	tb.Helper()
	conn, err := nats.Connect(brokerURL)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

// newStream names a stream for one test; it is removed when the test ends.
func newStream(tb testing.TB, brokerURL string) string {
	tb.Helper()
	name := "test-" + strings.ReplaceAll(event.NewID().String(), "-", "")
	js := client(tb, brokerURL)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		for _, stream := range []string{name, "KV_" + name + "-members"} {
			if err := js.DeleteStream(ctx, stream); err != nil && !strings.Contains(err.Error(), "not found") {
				tb.Error(err)
			}
		}
	})
	return name
}

func silent(string) {}

// with gives options for a test's stream.
func with(stream string) natsbroker.Options {
	return natsbroker.Options{Stream: stream, Prefix: stream, Lease: lease, OnWarning: silent}
}

// open opens a broker; it is closed when the test ends.
func open(tb testing.TB, brokerURL string, o natsbroker.Options) *natsbroker.Backend {
	tb.Helper()
	b, err := natsbroker.Open(tb.Context(), brokerURL, o)
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
func (p *proxies) through(tb testing.TB, brokerURL string, o natsbroker.Options) *natsbroker.Backend {
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
	o.Client = append(o.Client, nats.IgnoreDiscoveredServers())
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

// kill ends a handle as the death of its process would: the server sees its connection end, and hears no more of it.
func (p *proxies) kill(b broker.Backend) {
	proxy := p.of(b)
	proxy.Refuse(true)
	proxy.Cut()
}
