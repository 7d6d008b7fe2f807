package redisbroker_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/redisbroker"
	"lexigram.dev/events/internal/testserver"
)

// A server with AOF always that is killed again and again in mid-load loses nothing that it confirmed, and keeps the order
// of keys; consumers and publishers go on when it is back.
func TestAKilledServerLosesNothingThatItConfirmed(t *testing.T) {
	own := testserver.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	b := broker.New(open(t, own.URL, redisbroker.Options{RequireDurable: true}), broker.Options{})
	g := orders("g")
	must(t, b.Declare(t.Context(), g))
	var (
		mu       sync.Mutex
		handled  = map[string]int{} // by key, the highest number
		progress = make(chan struct{}, 1)
		running  sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		c, err := broker.NewConsumer(b, g, func(_ context.Context, d broker.Delivery) error {
			var n int
			if _, err := fmt.Sscan(string(d.Body), &n); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if n > handled[d.Key]+1 {
				t.Errorf("key %s: message %d came after %d", d.Key, n, handled[d.Key])
			}
			handled[d.Key] = max(handled[d.Key], n)
			return nil
		}, broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, "g", "dead"), OnError: func(error) {}})
		must(t, err)
		running.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Errorf("consumer: %v", err)
			}
		})
	}
	const publishers = 4
	var (
		confirmed [publishers]int
		senders   sync.WaitGroup
		stop      = make(chan struct{})
	)
	for p := range publishers {
		senders.Go(func() {
			for n := 1; ; {
				select {
				case <-stop:
					return
				case progress <- struct{}{}:
				default:
				}
				m := broker.Message{ID: fmt.Sprintf("%d-%d", p, n), Topic: "orders", Key: fmt.Sprint(p), Body: fmt.Append(nil, n)}
				switch err := b.Publish(t.Context(), m); {
				case err == nil:
					confirmed[p] = n
					n++
				case !errors.Is(err, broker.ErrUnavailable):
					t.Errorf("publisher %d: %v", p, err)
					return
				}
			}
		})
	}
	for round := range 4 {
		for range 300 {
			<-progress
		}
		if round < 3 {
			own.Kill()
			own.Start()
		}
	}
	close(stop)
	senders.Wait()
	eventually(t, "the handling of all that was confirmed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for p, n := range confirmed {
			if handled[fmt.Sprint(p)] < n {
				return false
			}
		}
		return true
	})
	cancel()
	running.Wait()
}

// All keys of a topic are in one slot, and topics in different ones; a wait for two topics needs two connections.
func TestItWorksOnACluster(t *testing.T) {
	own := testserver.StartRedis(t, "--cluster-enabled", "yes")
	own.Do("cluster", "addslotsrange", 0, 16383)
	eventually(t, "the forming of the cluster", func() bool {
		return strings.Contains(own.Client.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
	clients := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{own.Client.Options().Addr}})
	t.Cleanup(func() { _ = clients.Close() })
	b, err := redisbroker.New(clients, redisbroker.Options{OnWarning: quiet, Lease: lease})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	s := consume(t, b, broker.Group{Name: "g", Topics: []string{"orders", "payments"}}, 10)
	got := make(chan []string)
	for i, topic := range []string{"orders", "payments", "orders"} {
		go func() { got <- take(t, s, 1) }()
		must(t, errors.Join(b.Publish(t.Context(), []broker.Message{{ID: fmt.Sprint(i), Topic: topic, Key: "k"}})...))
		if ids := <-got; !slices.Equal(ids, []string{fmt.Sprint(i)}) {
			t.Errorf("got %v in place of %d", ids, i)
		}
	}
}

func TestOpeningWaitsForAServerThatStarts(t *testing.T) {
	own := testserver.StartRedis(t)
	own.Kill()
	opened := make(chan error, 1)
	go func() {
		b, err := redisbroker.Open(t.Context(), own.URL, redisbroker.Options{OnWarning: quiet})
		if err == nil {
			err = b.Close()
		}
		opened <- err
	}()
	own.Start()
	must(t, <-opened)
	own.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := redisbroker.Open(ctx, own.URL, redisbroker.Options{}); !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a server that stays away: got %v", err)
	}
}

func TestTheServersErrorsAreThoseOfThePort(t *testing.T) {
	message := batch("k", 1, 1)
	publish := func(t *testing.T, b *redisbroker.Backend, messages ...broker.Message) error {
		t.Helper()
		return errors.Join(b.Publish(t.Context(), messages)...)
	}
	t.Run("no room", func(t *testing.T) {
		own := testserver.StartRedis(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
		b := open(t, own.URL, redisbroker.Options{})
		large := batch("k", 1, 40)
		for i := range large {
			large[i].Body = make([]byte, 100_000)
		}
		var err error
		for range 5 {
			if err = publish(t, b, large...); err != nil {
				break
			}
		}
		if !errors.Is(err, broker.ErrFull) {
			t.Errorf("got %v, want ErrFull", err)
		}
	})
	t.Run("a read-only replica", func(t *testing.T) {
		own := testserver.StartRedis(t, "--replicaof", "127.0.0.1", "1")
		if _, err := redisbroker.Open(t.Context(), own.URL, redisbroker.Options{}); !errors.Is(err, broker.ErrRefused) {
			t.Errorf("got %v, want ErrRefused", err)
		}
	})
	t.Run("a primary that became a replica", func(t *testing.T) {
		own := testserver.StartRedis(t)
		b := open(t, own.URL, redisbroker.Options{})
		must(t, publish(t, b, message...))
		own.Do("replicaof", "127.0.0.1", "1")
		if err := publish(t, b, message...); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable: a failover is on its way", err)
		}
	})
	t.Run("a wrong password", func(t *testing.T) {
		own := testserver.StartRedis(t, "--requirepass", "right")
		u := "redis://:wr0ng@" + strings.TrimPrefix(own.URL, "redis://")
		_, err := redisbroker.Open(t.Context(), u, redisbroker.Options{})
		if !errors.Is(err, broker.ErrRefused) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("got %v, want ErrRefused without the password", err)
		}
		if _, err := redisbroker.Open(t.Context(), own.URL, redisbroker.Options{}); !errors.Is(err, broker.ErrRefused) {
			t.Errorf("no password: got %v, want ErrRefused", err)
		}
	})
	t.Run("no permission", func(t *testing.T) {
		own := testserver.StartRedis(t)
		own.Do("acl", "setuser", "reader", "on", ">pw", "~*", "+info", "+hello", "+ping", "+client", "+evalsha", "+eval", "+hget", "+hset")
		b := open(t, "redis://reader:pw@"+strings.TrimPrefix(own.URL, "redis://"), redisbroker.Options{})
		if err := publish(t, b, message...); !errors.Is(err, broker.ErrRefused) {
			t.Errorf("got %v, want ErrRefused", err)
		}
	})
	t.Run("a key of another program", func(t *testing.T) {
		own := testserver.StartRedis(t)
		b := open(t, own.URL, redisbroker.Options{Partitions: 1})
		own.Do("set", "{lexigram:orders}:p:0", "x")
		for _, messages := range [][]broker.Message{message, batch("k", 1, 3)} {
			if err := publish(t, b, messages...); !errors.Is(err, broker.ErrRefused) {
				t.Errorf("got %v, want ErrRefused", err)
			}
		}
		if err := b.Declare(t.Context(), orders("g")); !errors.Is(err, broker.ErrRefused) {
			t.Errorf("got %v, want ErrRefused", err)
		}
	})
	t.Run("durability that is not there", func(t *testing.T) {
		own := testserver.StartRedis(t, "--appendonly", "no")
		if _, err := redisbroker.Open(t.Context(), own.URL, redisbroker.Options{RequireDurable: true}); !errors.Is(err, broker.ErrUnsupported) {
			t.Errorf("got %v, want ErrUnsupported", err)
		}
		var warning string
		open(t, own.URL, redisbroker.Options{OnWarning: func(text string) { warning = text }})
		if !strings.Contains(warning, "appendonly is off") {
			t.Errorf("the warning is %q", warning)
		}
	})
	t.Run("replicas that are not there", func(t *testing.T) {
		own := testserver.StartRedis(t)
		b := open(t, own.URL, redisbroker.Options{WaitReplicas: 1, WaitTimeout: 10 * time.Millisecond})
		var replication *redisbroker.ReplicationError
		if err := publish(t, b, message...); !errors.Is(err, broker.ErrUnavailable) || !errors.As(err, &replication) || replication.Wanted != 1 {
			t.Errorf("got %v, want a ReplicationError", err)
		}
	})
}

func TestAReplicaConfirmsBeforeThePublisherIsTold(t *testing.T) {
	primary := testserver.StartRedis(t)
	replica := testserver.StartRedis(t, "--replicaof", "127.0.0.1", fmt.Sprint(primary.Port))
	eventually(t, "the first synchronisation", func() bool {
		return strings.Contains(replica.Client.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	b := open(t, primary.URL, redisbroker.Options{WaitReplicas: 1, WaitTimeout: 10 * time.Second, Partitions: 1})
	for n := range 20 {
		must(t, errors.Join(b.Publish(t.Context(), batch("k", n, 1))...))
		if got := replica.Client.XLen(t.Context(), "{lexigram:orders}:p:0").Val(); got != int64(n+1) {
			t.Fatalf("the replica has %d messages of %d that were confirmed", got, n+1)
		}
	}
}

func TestURLsAreCheckedAndNeverQuoted(t *testing.T) {
	for _, u := range []string{
		"redis://user:s3cret@host:x/0", "redis://user:s3cret%zz@host/0", "http://user:s3cret@host", "redis:user:s3cret",
		"redis://user:s3cret@host/0?partitions=s3cret", "redis://user:s3cret@host/0?partitions=0x", "redis://user:s3cret@host/zero",
		"redis://user:s3cret@host/0?unknown=1", "redis://user:s3cret@host/0?lease=1ms", "redis://user:s3cret@host/0?partitions=257",
		"redis://user:s3cret@host/0?prefix=%7B", "redis://user:s3cret@host/0?max_age=-1s&max_len=-1&wait_replicas=-1&wait_timeout=1us",
	} {
		_, err := redisbroker.Open(t.Context(), u, redisbroker.Options{})
		if !errors.Is(err, broker.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want ErrInvalid without the password", u, err)
		}
	}
	if _, err := redisbroker.New(nil, redisbroker.Options{}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestTheURLsParametersAreTheOptions(t *testing.T) {
	base := testserver.URL(t, defaultServer)
	prefix := newPrefix(t, base)
	u, err := url.Parse(base)
	must(t, err)
	u.RawQuery = "prefix=" + prefix + "&partitions=3&lease=2s&retain=7&max_len=9&max_age=1h&wait_replicas=0&wait_timeout=1s&require_durable=false&pool_size=5"
	b, err := redisbroker.Driver().Open(t.Context(), u.String())
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	must(t, b.Declare(t.Context(), orders("g")))
	c := client(t, base)
	if n := c.HGet(t.Context(), "{"+prefix+":orders}:topic", "partitions").Val(); n != "3" {
		t.Errorf("the topic has %s partitions, want 3", n)
	}
	// A topic keeps the number that it was made with.
	other := open(t, base, redisbroker.Options{Prefix: prefix, Partitions: 5})
	must(t, errors.Join(other.Publish(t.Context(), batch("7", 1, 1))...))
	if left, err := b.(*redisbroker.Backend).Backlog(t.Context(), orders("g")); err != nil || left.Messages != 1 {
		t.Errorf("backlog %+v, %v", left, err)
	}
}
