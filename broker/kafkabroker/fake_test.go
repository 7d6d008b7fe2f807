package kafkabroker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/internal/netfault"
	"lexigram.dev/events/internal/testserver"
)

// These tests run on kfake, which fails as it is told to. What they prove holds for the driver, not for Kafka.

func fake(t testing.TB, more ...kfake.Opt) (*kfake.Cluster, Options) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, Options{Brokers: c.ListenAddrs(), SessionTimeout: 3 * time.Second, Partitions: 4}
}

func message(n int) broker.Message {
	return broker.Message{ID: fmt.Sprint("m", n), Topic: "t", Key: "k", Body: fmt.Append(nil, n), Time: time.UnixMilli(int64(n))}
}

func messages(n int) []broker.Message {
	all := make([]broker.Message, n)
	for i := range all {
		all[i] = message(i)
	}
	return all
}

func group(topics ...string) broker.Group { return broker.Group{Name: "g", Topics: topics} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func join(t *testing.T, b *Backend, g broker.Group, prefetch int) *stream {
	t.Helper()
	s, err := b.Consume(t.Context(), g, prefetch)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s.(*stream)
}

// receive takes n messages.
func receive(t *testing.T, s broker.Stream, n int) []broker.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var all []broker.Received
	for len(all) < n {
		some, err := s.Receive(ctx, n-len(all))
		if err != nil {
			t.Fatalf("receive: %v, after %d of %d", err, len(all), n)
		}
		all = append(all, some...)
	}
	return all
}

func bodies(received []broker.Received) string {
	var all []string
	for _, r := range received {
		all = append(all, string(r.Message.Body))
	}
	return strings.Join(all, " ")
}

func TestAMessageThatTimedOutAfterItWasStoredIsThereOnce(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.NotLeaderForPartition} {
		t.Run(code.Message, func(t *testing.T) {
			c, o := fake(t)
			b := open(t, o)
			must(t, b.Declare(t.Context(), group("t")))
			fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: code, Count: 2})
			if errs := b.Publish(t.Context(), messages(3)); errs != nil {
				t.Fatal(errs)
			}
			if fault.Hits() == 0 {
				t.Fatal("the fault did not happen")
			}
			if backlog, err := b.Backlog(t.Context(), group("t")); err != nil || backlog.Messages != 3 {
				t.Errorf("%d messages are stored (%v), want 3", backlog.Messages, err)
			}
			if got := bodies(receive(t, join(t, b, group("t"), 10), 3)); got != "0 1 2" {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAMissingTopicIsRefusedWhereNoneAreCreated(t *testing.T) {
	_, o := fake(t, kfake.SeedTopics(2, "there"))
	o.NoCreate = true
	b := open(t, o)
	there := message(1)
	there.Topic = "there"
	errs := b.Publish(t.Context(), []broker.Message{message(0), there})
	if errs == nil || !errors.Is(errs[0], broker.ErrRefused) || !strings.Contains(errs[0].Error(), "topic t") || errs[1] != nil {
		t.Errorf("got %v, want ErrRefused for the first", errs)
	}
	if err := b.Declare(t.Context(), group("there", "t")); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
	if _, err := b.Consume(t.Context(), group("t"), 1); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
}

func TestOversizeMessagesAreRefusedBeforeTheyAreSent(t *testing.T) {
	c, o := fake(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000"}))
	backend := open(t, o)
	if limit := backend.Features().MaxMessageBytes; limit != 20000-recordOverhead {
		t.Errorf("the limit is %d", limit)
	}
	sent := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Observe: true, Count: -1})
	b := broker.New(backend, broker.Options{})
	m := message(1)
	m.Body = make([]byte, 20000-recordOverhead-len(m.Key)+1)
	if err := b.Publish(t.Context(), m); !errors.Is(err, broker.ErrTooLarge) || sent.Hits() != 0 {
		t.Errorf("got %v after %d requests, want ErrTooLarge and none", err, sent.Hits())
	}
	_, _ = rand.Read(m.Body) // so that it cannot be compressed
	m.Body = m.Body[1:]
	m.ID = strings.Repeat("i", 512)
	m.Headers = map[string]string{}
	for i := range 64 {
		m.Headers[fmt.Sprint(i)] = ""
		m.Body = m.Body[len(fmt.Sprint(i)):]
	}
	must(t, b.Publish(t.Context(), m))
}

func TestConnectionsAreEncryptedAndCertificatesChecked(t *testing.T) {
	authority := testserver.NewAuthority(t)
	_, o := fake(t, kfake.TLS(authority.Server()))
	o.TLS = &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}
	if errs := open(t, o).Publish(t.Context(), messages(1)); errs != nil {
		t.Error(errs)
	}
	o.TLS = &tls.Config{RootCAs: testserver.NewAuthority(t).Pool(), MinVersion: tls.VersionTLS12}
	if _, err := Open(t.Context(), o); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v for an unknown certificate, want ErrRefused", err)
	}
	o.TLS = nil
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Open(ctx, o); !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("got %v without TLS, want ErrUnavailable that guesses at TLS", err)
	}
}

func TestABrokerThatIsDownIsWaitedForUntilTheContextEnds(t *testing.T) {
	c, o := fake(t)
	proxy, err := netfault.Start(c.ListenAddrs()[0])
	must(t, err)
	t.Cleanup(proxy.Close)
	proxy.Refuse(true)
	o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, proxy.Addr())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = Open(ctx, o)
	if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), o.Brokers[0]) {
		t.Errorf("got %v, want ErrUnavailable that names the host", err)
	}
	if proxy.Refused() < 2 {
		t.Errorf("it was tried %d times", proxy.Refused())
	}
	opened := make(chan error)
	go func() {
		b, err := Open(t.Context(), o)
		if err == nil {
			err = b.Close()
		}
		opened <- err
	}()
	before := proxy.Refused()
	for proxy.Refused() == before {
		pause(t.Context(), time.Millisecond)
	}
	proxy.Refuse(false)
	must(t, <-opened)
}

func TestAPublisherLearnsInTimeThatTheBrokerDoesNotAnswer(t *testing.T) {
	c, o := fake(t)
	proxy, err := netfault.Start(c.ListenAddrs()[0])
	must(t, err)
	t.Cleanup(proxy.Close)
	o.PublishTimeout = time.Second
	o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, proxy.Addr())
	}
	b := open(t, o)
	must(t, b.Declare(t.Context(), group("t")))
	if errs := b.Publish(t.Context(), messages(1)); errs != nil {
		t.Fatal(errs)
	}
	proxy.Swallow(true)
	begun := time.Now()
	if errs := b.Publish(t.Context(), messages(2)); errs == nil || !errors.Is(errs[0], broker.ErrUnavailable) || !errors.Is(errs[1], broker.ErrUnavailable) || time.Since(begun) > 5*time.Second {
		t.Errorf("got %v after %v, want ErrUnavailable", errs, time.Since(begun))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan []error)
	go func() { cancelled <- b.Publish(ctx, messages(1)) }()
	cancel()
	if errs := <-cancelled; errs == nil || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("got %v, want context.Canceled", errs)
	}
	proxy.Swallow(false)
	proxy.Cut()
	if errs := b.Publish(t.Context(), messages(1)); errs != nil {
		t.Errorf("after the broker had come back: %v", errs)
	}
}

func TestTwoWhoDeclareAGroupAtOnceMissNothing(t *testing.T) {
	_, o := fake(t)
	b, other := open(t, o), open(t, o)
	for round := range 20 {
		g := broker.Group{Name: fmt.Sprint("g", round), Topics: []string{"t"}}
		var declared sync.WaitGroup
		for _, who := range []*Backend{b, other} {
			declared.Go(func() {
				if err := who.Declare(t.Context(), g); err != nil {
					t.Error(err)
				}
				m := message(round)
				if errs := who.Publish(t.Context(), []broker.Message{m}); errs != nil {
					t.Error(errs)
				}
			})
		}
		declared.Wait()
		if backlog, err := b.Backlog(t.Context(), g); err != nil || backlog.Messages < 2 {
			t.Errorf("round %d: %d messages (%v), want what both have published", round, backlog.Messages, err)
		}
	}
}

func TestAGroupThatHasMembersCanBeDeclaredForMoreTopics(t *testing.T) {
	_, o := fake(t)
	b := open(t, o)
	member := join(t, b, group("t"), 10)
	if errs := b.Publish(t.Context(), messages(1)); errs != nil {
		t.Fatal(errs)
	}
	held := receive(t, member, 1)
	early := message(1)
	early.Topic = "u"
	if errs := b.Publish(t.Context(), []broker.Message{early}); errs != nil {
		t.Fatal(errs)
	}
	must(t, b.Declare(t.Context(), group("t", "u")))
	late := message(2)
	late.Topic = "u"
	if errs := b.Publish(t.Context(), []broker.Message{late}); errs != nil {
		t.Fatal(errs)
	}
	must(t, member.Ack(t.Context(), held))
	must(t, member.Close())
	if got := bodies(receive(t, join(t, b, group("t", "u"), 10), 1)); got != "2" {
		t.Errorf("got %s, want what was published after the declaration", got)
	}
}

func TestPartitionsThatAreAddedToATopicAreReadFromTheirStart(t *testing.T) {
	_, o := fake(t)
	o.Partitions = 1
	b := open(t, o)
	must(t, b.Declare(t.Context(), group("t")))
	grown, err := b.admin.UpdatePartitions(t.Context(), 8, "t")
	must(t, errors.Join(err, grown.Error()))
	fresh := open(t, o) // one that knows of the new partitions
	for i := range 16 {
		m := message(i)
		m.Key = fmt.Sprint(i)
		if errs := fresh.Publish(t.Context(), []broker.Message{m}); errs != nil {
			t.Fatal(errs)
		}
	}
	must(t, fresh.Declare(t.Context(), group("t")))
	receive(t, join(t, fresh, group("t"), 100), 16)
}
