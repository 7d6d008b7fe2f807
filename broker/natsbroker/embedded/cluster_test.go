package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/brokertest"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/broker/natsbroker/embedded"
)

func start(t testing.TB, o embedded.Options) *embedded.Server {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// options are those of a broker in tests.
func options(replicas int) natsbroker.Options {
	return natsbroker.Options{Replicas: replicas, Lease: 2 * time.Second, Timeout: 2 * time.Second, OnWarning: func(string) {}}
}

func open(t testing.TB, s *embedded.Server, o natsbroker.Options) *natsbroker.Backend {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := s.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// freePorts gives ports that nobody listens on.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// cluster gives the options of three servers that form one.
func cluster(t testing.TB) []embedded.Options {
	routes := freePorts(t, 3)
	var nodes []embedded.Options
	for i, route := range routes {
		nodes = append(nodes, embedded.Options{StoreDir: t.TempDir(), Name: fmt.Sprintf("node%d", i), ClusterListen: route, Routes: routes})
	}
	return nodes
}

func TestTheServerInTheProcessKeepsEveryClause(t *testing.T) {
	s := start(t, embedded.Options{StoreDir: t.TempDir()})
	brokertest.Run(t, brokertest.Harness{
		New: func(t *testing.T) func(t *testing.T) broker.Backend {
			o := options(1)
			o.Stream, o.Prefix = "s"+fmt.Sprint(time.Now().UnixNano()), "p"+fmt.Sprint(time.Now().UnixNano())
			return func(t *testing.T) broker.Backend { return open(t, s, o) }
		},
		Messages: 10_000,
	})
}

func TestANodeThatIsStartedAgainHasKeptEverything(t *testing.T) {
	o := embedded.Options{StoreDir: t.TempDir()}
	g := broker.Group{Name: "g", Topics: []string{"t"}}
	first := start(t, o)
	b := broker.New(open(t, first, options(1)), broker.Options{})
	if err := b.Declare(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := b.Publish(t.Context(), broker.Message{ID: fmt.Sprint(i), Topic: "t", Key: fmt.Sprint(i % 7)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.Close(), first.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	again := broker.New(open(t, start(t, o), options(1)), broker.Options{})
	if backlog, err := again.Backlog(t.Context(), g); err != nil || backlog.Messages != 100 {
		t.Errorf("backlog %+v (%v), want 100", backlog, err)
	}
}

func TestOptionsThatCannotWorkAreRefusedTogether(t *testing.T) {
	_, err := embedded.Start(embedded.Options{User: "u", Routes: []string{"nowhere"}, Listen: "x:y:z"})
	if !errors.Is(err, broker.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"StoreDir", "Password", "ClusterListen", "nowhere", "x:y:z"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// TestNothingConfirmedIsLostWhenTheLeaderIsShutDown publishes and consumes on three nodes of which the stream's leader goes.
func TestNothingConfirmedIsLostWhenTheLeaderIsShutDown(t *testing.T) {
	const messages, keys, publishers = 3000, 30, 3
	var nodes []*embedded.Server
	for _, o := range cluster(t) {
		nodes = append(nodes, start(t, o))
	}
	o := options(3)
	backends := make([]*natsbroker.Backend, len(nodes))
	for i, s := range nodes {
		backends[i] = open(t, s, o)
	}
	leader := leaderOf(t, nodes[0], "lexigram")
	survivors := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return fmt.Sprintf("node%d", i) == leader })
	if len(survivors) != 2 {
		t.Fatalf("the leader is %q", leader)
	}
	g := broker.Group{Name: "g", Topics: []string{"t"}}
	consumer := broker.New(backends[survivors[0]], broker.Options{})
	if err := consumer.Declare(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	var (
		mu        sync.Mutex
		seen      = map[string]int{} // by key, the number that comes next
		handled   = map[string]bool{}
		all       = make(chan struct{})
		ctx, stop = context.WithCancel(t.Context())
	)
	defer stop()
	c, err := broker.NewConsumer(consumer, g, func(_ context.Context, d broker.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		var n int
		if _, err := fmt.Sscan(string(d.Body), &n); err != nil {
			return err
		}
		if n > seen[d.Key] {
			t.Errorf("key %s: message %d came before %d", d.Key, n, seen[d.Key])
		}
		seen[d.Key] = max(seen[d.Key], n+1)
		if handled[d.ID] = true; len(handled) == messages {
			select {
			case <-all:
			default:
				close(all)
			}
		}
		return nil
	}, broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(consumer, "g", "dead"), OnError: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	half := make(chan struct{})
	for p := range publishers {
		b := broker.New(backends[survivors[p%2]], broker.Options{})
		running.Go(func() {
			for i := p; i < messages; i += publishers {
				k := i % keys // 3 divides 30: a key has one publisher
				m := broker.Message{ID: fmt.Sprint(i), Topic: "t", Key: fmt.Sprint(k), Body: fmt.Append(nil, i/keys)}
				for {
					err := b.Publish(t.Context(), m) // not ctx: a message may be handled before it is confirmed
					if err == nil {
						break
					}
					if !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrFull) {
						t.Errorf("publisher %d: %v", p, err)
						return
					}
				}
				if p == 0 && i >= messages/2 && i < messages/2+publishers {
					close(half)
				}
			}
		})
	}
	<-half
	var gone int
	if _, err := fmt.Sscanf(leader, "node%d", &gone); err != nil {
		t.Fatal(err)
	}
	_ = backends[gone].Close()
	_ = nodes[gone].Close()
	select {
	case <-all:
	case <-time.After(60 * time.Second):
		mu.Lock()
		t.Errorf("%d of %d messages were handled", len(handled), messages)
		mu.Unlock()
	}
	stop()
	running.Wait()
}

// leaderOf names the server that leads the stream.
func leaderOf(t *testing.T, s *embedded.Server, stream string) string {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	found, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info := found.CachedInfo()
	if info.Cluster == nil || info.Config.Replicas != 3 {
		t.Fatalf("the stream is not on three servers: %+v", info)
	}
	return info.Cluster.Leader
}
