package kafkabroker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/internal/testserver"
)

// ownServer is a broker of the test's own, to be killed.
type ownServer struct {
	home, folder  string
	port, control int
	command       *exec.Cmd
}

// own prepares a broker; it does not run yet.
func own(t *testing.T) *ownServer {
	t.Helper()
	home := testserver.URL(t, "TEST_KAFKA_HOME")
	s := &ownServer{home: home, folder: t.TempDir(), port: freePort(t), control: freePort(t)}
	config := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=%[3]s/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
`, s.port, s.control, s.folder)
	must(t, os.WriteFile(filepath.Join(s.folder, "server.properties"), []byte(config), 0o600))
	format := s.java(t.Context(), "kafka.tools.StorageTool", "format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAQ", "--config", filepath.Join(s.folder, "server.properties"))
	if output, err := format.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	t.Cleanup(func() { s.stop(syscall.SIGKILL) })
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *ownServer) java(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "java", append([]string{
		"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true",
		"-Dlog4j2.configurationFile=" + filepath.Join(s.home, "log4j2.properties"), "-cp", filepath.Join(s.home, "libs", "*"),
	}, args...)...)
}

func (s *ownServer) start(t *testing.T) {
	t.Helper()
	s.command = s.java(context.Background(), "kafka.Kafka", filepath.Join(s.folder, "server.properties"))
	var output bytes.Buffer
	s.command.Stdout, s.command.Stderr = &output, &output
	must(t, s.command.Start())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	b, err := Open(ctx, s.options())
	if err != nil {
		s.stop(syscall.SIGKILL)
		t.Fatalf("%v; the broker said: %s", err, output.String())
	}
	must(t, b.Close())
}

func (s *ownServer) stop(how syscall.Signal) {
	if s.command == nil || s.command.ProcessState != nil {
		return
	}
	_ = s.command.Process.Signal(how)
	_ = s.command.Wait()
}

func (s *ownServer) options() Options {
	return Options{Brokers: []string{fmt.Sprintf("127.0.0.1:%d", s.port)}, SessionTimeout: 5 * time.Second, Replication: 1}
}

// Each confirmed message is handled, and each key in its order, although the broker is killed and shut down under load.
func TestABrokerThatIsKilledAndRestartedLosesNothing(t *testing.T) {
	const keys, each, publishers = 40, 100, 4
	s := own(t)
	s.start(t)
	b := broker.New(open(t, s.options()), broker.Options{})
	g := broker.Group{Name: "g", Topics: []string{"t"}}
	must(t, b.Declare(t.Context(), g))

	var (
		mu      sync.Mutex
		next    = map[string]int{}
		handled int
		done    = make(chan struct{})
		some    = make(chan struct{}) // a third is handled
		more    = make(chan struct{}) // two thirds are
	)
	handle := func(_ context.Context, d broker.Delivery) error {
		var n int
		if _, err := fmt.Sscan(string(d.Body), &n); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if n > next[d.Key] {
			t.Errorf("key %s: message %d came before %d", d.Key, n, next[d.Key])
		}
		if n == next[d.Key] {
			next[d.Key]++
			switch handled++; handled {
			case keys * each / 3:
				close(some)
			case keys * each * 2 / 3:
				close(more)
			case keys * each:
				close(done)
			}
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	for range 2 {
		c, err := broker.NewConsumer(broker.New(open(t, s.options()), broker.Options{}), g, handle, broker.ConsumerOptions{
			DeadLetter: func(_ context.Context, d broker.Delivery, cause error) error { t.Error(d.ID, cause); return nil },
			OnError:    func(err error) { t.Log(err) },
		})
		must(t, err)
		running.Go(func() {
			if err := c.Run(consuming); err != nil {
				t.Error(err)
			}
		})
	}
	for p := range publishers {
		running.Go(func() {
			for n := range each {
				for k := p; k < keys; k += publishers {
					m := broker.Message{ID: fmt.Sprint(k, "-", n), Topic: "t", Key: fmt.Sprint(k), Body: fmt.Append(nil, n)}
					for {
						err := b.Publish(ctx, m)
						if err == nil {
							break
						}
						if !errors.Is(err, broker.ErrUnavailable) {
							t.Error(err)
							return
						}
					}
				}
			}
		})
	}
	for _, how := range []struct {
		after  <-chan struct{}
		signal syscall.Signal
	}{{some, syscall.SIGKILL}, {more, syscall.SIGTERM}} {
		select {
		case <-how.after:
		case <-ctx.Done():
			t.Fatal("the load has stopped")
		}
		s.stop(how.signal)
		s.start(t)
	}
	select {
	case <-done:
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		t.Errorf("%d of %d messages were handled", handled, keys*each)
	}
}
