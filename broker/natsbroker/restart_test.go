package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/broker/natsbroker/embedded"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// serve runs a server with a login and permissions.
func serve(t *testing.T, users ...*natsserver.User) string {
	t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, Users: users,
	})
	must(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s.Addr().String()
}

func TestWrongCredentialsAreRefusedAtOnceAndNotShown(t *testing.T) {
	addr := serve(t, &natsserver.User{Username: "ann", Password: "right"})
	for _, url := range []string{"nats://ann:wr0ng@" + addr, "nats://" + addr, "nats://wr0ng@" + addr, "nats://" + addr + "?token=wr0ng"} {
		_, err := natsbroker.Open(t.Context(), url, natsbroker.Options{OnWarning: silent})
		if !errors.Is(err, broker.ErrRefused) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("got %v, want ErrRefused", err)
		}
	}
	b := open(t, "nats://ann:right@"+addr, natsbroker.Options{OnWarning: silent})
	d, err := b.Describe(t.Context())
	if err != nil || strings.Contains(fmt.Sprint(d), "right") {
		t.Errorf("got %+v (%v)", d, err)
	}
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	publish := func(subjects ...string) *natsserver.Permissions {
		return &natsserver.Permissions{Publish: &natsserver.SubjectPermission{Allow: subjects}}
	}
	addr := serve(t,
		&natsserver.User{Username: "root", Password: "x"},
		&natsserver.User{Username: "none", Password: "x", Permissions: publish("nothing")},
		&natsserver.User{Username: "asks", Password: "x", Permissions: publish("$JS.API.INFO", "$JS.API.STREAM.INFO.lexigram")},
	)
	open(t, "nats://root:x@"+addr, natsbroker.Options{OnWarning: silent})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := natsbroker.Open(ctx, "nats://none:x@"+addr, natsbroker.Options{OnWarning: silent, Timeout: time.Second}); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("open: got %v, want ErrRefused", err)
	}
	b := broker.New(open(t, "nats://asks:x@"+addr, natsbroker.Options{OnWarning: silent}), broker.Options{})
	begun := time.Now()
	err := b.Publish(ctx, broker.Message{ID: "1", Topic: "orders"})
	if !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), "lexigram.orders.any") {
		t.Errorf("publish: got %v, want ErrRefused with the subject", err)
	}
	if err := b.Declare(ctx, broker.Group{Name: "g", Topics: []string{"orders"}}); !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), "CONSUMER.CREATE") {
		t.Errorf("declare: got %v, want ErrRefused with the subject", err)
	}
	if d := time.Since(begun); d > 3*time.Second {
		t.Errorf("it took %v to be refused", d)
	}
}

func TestAServerWithoutJetStreamIsRefused(t *testing.T) {
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true})
	must(t, err)
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	if _, err := natsbroker.Open(t.Context(), "nats://"+s.Addr().String(), natsbroker.Options{}); !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("got %v", err)
	}
}

// TestNothingConfirmedIsLostWhenTheServerRestartsUnderLoad stops the server twice in the middle.
func TestNothingConfirmedIsLostWhenTheServerRestartsUnderLoad(t *testing.T) {
	const messages, keys = 3000, 20
	o := embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
	s, err := embedded.Start(o)
	must(t, err)
	o.Listen = strings.TrimPrefix(s.URL(), "nats://")
	b := broker.New(open(t, s.URL(), natsbroker.Options{OnWarning: silent, Lease: lease}), broker.Options{})
	g := group("a")
	must(t, b.Declare(t.Context(), g))
	var (
		got       ledgerOfKeys
		ctx, stop = context.WithCancel(t.Context())
		running   sync.WaitGroup
	)
	defer stop()
	got.all = make(chan struct{})
	c, err := broker.NewConsumer(b, g, got.handler(t, messages), broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, "g", "dead"), OnError: func(error) {}})
	must(t, err)
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for i := range messages {
		m := broker.Message{ID: fmt.Sprint(i), Topic: "a", Key: fmt.Sprint(i % keys), Body: fmt.Append(nil, i/keys)}
		for {
			err := b.Publish(ctx, m)
			if err == nil {
				break
			}
			if !errors.Is(err, broker.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if i%1000 == 500 {
			must(t, s.Close())
			s, err = embedded.Start(o)
			must(t, err)
		}
	}
	defer func() { _ = s.Close() }()
	select {
	case <-got.all:
	case <-time.After(60 * time.Second):
		t.Error("not all messages were handled")
	}
	stop()
	running.Wait()
	must(t, b.Close())
}

// ledgerOfKeys checks the order of keys and counts what was handled.
type ledgerOfKeys struct {
	mu      sync.Mutex
	next    map[string]int
	handled map[string]bool
	all     chan struct{}
}

func (l *ledgerOfKeys) handler(t *testing.T, messages int) broker.Handler {
	l.next, l.handled = map[string]int{}, map[string]bool{}
	return func(_ context.Context, d broker.Delivery) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		var n int
		if _, err := fmt.Sscan(string(d.Body), &n); err != nil {
			return err
		}
		if n > l.next[d.Key] {
			t.Errorf("key %s: message %d came before %d", d.Key, n, l.next[d.Key])
		}
		l.next[d.Key] = max(l.next[d.Key], n+1)
		if !l.handled[d.ID] {
			if l.handled[d.ID] = true; len(l.handled) == messages {
				close(l.all)
			}
		}
		return nil
	}
}

func TestNoGoroutineIsLeftBehind(t *testing.T) {
	url := server(t, defaultServer)
	o := with(newStream(t, url))
	round := func() {
		b, err := natsbroker.Open(t.Context(), url, o)
		must(t, err)
		for range 3 {
			s, err := b.Consume(t.Context(), group("a"), 100)
			must(t, err)
			must(t, errors.Join(b.Publish(t.Context(), []broker.Message{{ID: fmt.Sprint(time.Now().UnixNano()), Topic: "a", Key: "k"}})...))
			receive(t, s, 1)
			must(t, s.Close())
		}
		_, err = b.Consume(t.Context(), group("a"), 1) // closed with the backend
		must(t, err)
		must(t, b.Close())
	}
	round()
	before := runtime.NumGoroutine()
	for range 5 {
		round()
	}
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before+3 {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}
