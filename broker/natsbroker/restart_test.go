package natsbroker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/broker/natsbroker/embedded"
	"lexigram.dev/events/internal/testserver"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// serve runs a server with logins and permissions, and gives its address.
func serve(t *testing.T, users ...*natsserver.User) string {
	t.Helper()
	return serveWith(t, &natsserver.Options{Users: users})
}

// serveWith runs a server with some settings, and gives its address.
func serveWith(t *testing.T, o *natsserver.Options) string {
	t.Helper()
	o.Host, o.Port, o.JetStream, o.StoreDir, o.NoSigs, o.NoLog = "127.0.0.1", natsserver.RANDOM_PORT, true, t.TempDir(), true, true
	s, err := natsserver.NewServer(o)
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

// TestMain lets the test's program be a server that can be killed.
func TestMain(m *testing.M) {
	if folder := os.Getenv(processFolder); folder != "" {
		s, err := embedded.Start(embedded.Options{StoreDir: folder, Listen: os.Getenv(processAddr), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.URL())
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it
		_ = s.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	processFolder = "NATSBROKER_TEST_FOLDER"
	processAddr   = "NATSBROKER_TEST_ADDR"
)

// process is a server in a process of its own.
type process struct {
	command      *exec.Cmd
	stdin        io.Closer
	folder, addr string
}

func startProcess(t *testing.T, folder, addr string) *process {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), processFolder+"="+folder, processAddr+"="+addr)
	stdin, err := command.StdinPipe()
	must(t, err)
	stdout, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	p := &process{command: command, stdin: stdin, folder: folder}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	p.addr = strings.TrimPrefix(strings.TrimSpace(line), "nats://")
	return p
}

// restart ends the server, by kill -9 or in good order, and starts it again in the same place.
func (p *process) restart(t *testing.T, kill bool) *process {
	t.Helper()
	if kill {
		must(t, p.command.Process.Kill())
	} else {
		must(t, p.stdin.Close())
	}
	_ = p.command.Wait()
	return startProcess(t, p.folder, p.addr)
}

// TestNothingConfirmedIsLostWhenTheServerRestartsUnderLoad kills the server twice in the middle, and stops it once.
func TestNothingConfirmedIsLostWhenTheServerRestartsUnderLoad(t *testing.T) {
	const messages, keys = 3000, 20
	s := startProcess(t, t.TempDir(), "127.0.0.1:0")
	b := broker.New(open(t, "nats://"+s.addr, natsbroker.Options{OnWarning: silent, Lease: lease}), broker.Options{})
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
			err := b.Publish(t.Context(), m)
			if err == nil {
				break
			}
			if !errors.Is(err, broker.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		switch i {
		case 500, 2500:
			s = s.restart(t, true)
		case 1500:
			s = s.restart(t, false)
		}
	}
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
	url := testserver.URL(t, defaultServer)
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
