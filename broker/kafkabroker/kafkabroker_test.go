package kafkabroker

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
	"lexigram.dev/events/internal/netfault"
	"lexigram.dev/events/internal/testserver"
)

// server gives the options for the broker of the tests.
func server(t testing.TB) Options {
	t.Helper()
	url := testserver.URL(t, "TEST_KAFKA_URL")
	if testserver.Required() && os.Getenv("TEST_KAFKA_REAL") != "1" {
		t.Fatal("TEST_KAFKA_URL must be that of a real broker (TEST_KAFKA_REAL=1), and services are required")
	}
	o, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.SessionTimeout = 3 * time.Second // what was held by a member that died comes again so soon
	return o
}

// open connects, and when the test ends removes the topics and groups that were made.
func open(t testing.TB, o Options) *Backend {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// sweep removes, when the test ends, the topics that handles of the broker have used, and the groups named like those.
func sweep(t testing.TB, o Options, handles *[]*Backend) {
	t.Helper()
	t.Cleanup(func() {
		o.SessionTimeout = 0
		b := open(t, o)
		var topics []string
		for _, h := range *handles {
			h.known.Range(func(name, _ any) bool { topics = append(topics, name.(string)); return true })
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if len(topics) == 0 {
			return
		}
		slices.Sort(topics) // each handle knows them
		deleted, err := b.admin.DeleteTopics(ctx, slices.Compact(topics)...)
		if err == nil {
			err = deleted.Error()
		}
		if err != nil {
			t.Error(err)
		}
		groups, err := b.admin.ListGroups(ctx)
		if err != nil {
			t.Log(err)
		}
		suffix := topics[0][strings.LastIndexByte(topics[0], '-'):]
		for _, g := range groups.Groups() {
			if strings.HasSuffix(g, suffix) {
				_, _ = b.admin.DeleteGroup(ctx, g)
			}
		}
	})
}

// lines are the proxies between the handles of a test and the broker: every handle has its own.
type lines struct {
	target  string
	proxies map[broker.Backend]*netfault.Proxy
}

// open gives a handle whose connections go through a proxy, whatever address the broker says it has.
func (l *lines) open(t *testing.T, o Options) *Backend {
	t.Helper()
	proxy, err := netfault.Start(l.target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	dial := o.withDefaults().Dial
	o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, proxy.Addr())
	}
	b := open(t, o)
	l.proxies[b] = proxy
	return b
}

func TestKeepsEveryClauseOfThePort(t *testing.T) {
	o := server(t)
	o.Partitions = 64 // so that messages without a key have a partition of their own; see the package's documentation
	l := &lines{target: o.Brokers[0], proxies: map[broker.Backend]*netfault.Proxy{}}
	brokertest.Run(t, brokertest.Harness{
		New: func(t *testing.T) func(t *testing.T) broker.Backend {
			var handles []*Backend
			sweep(t, o, &handles)
			return func(t *testing.T) broker.Backend {
				b := l.open(t, o)
				handles = append(handles, b)
				return b
			}
		},
		Kill: func(_ *testing.T, b broker.Backend) {
			l.proxies[b].Refuse(true)
			l.proxies[b].Cut()
		},
		Cut: func(_ *testing.T, b broker.Backend) { l.proxies[b].Cut() },
	})
}
