package rabbitbroker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/rabbitbroker"
	"lexigram.dev/events/internal/testserver"
)

// node is a RabbitMQ that a test has to itself.
type node struct {
	dir  string
	base string // of its ports
	*vhost
}

// startNode starts a server of the test's own by scripts/services, which ends with the test.
func startNode(t *testing.T) *node {
	t.Helper()
	if testing.Short() {
		t.Skip("starting a server takes seconds")
	}
	variable(t, "TEST_RABBITMQ_URL") // skips where there is no RabbitMQ at all
	testserver.Program(t, "/usr/lib/rabbitmq/bin/rabbitmq-server")
	n := &node{dir: t.TempDir(), base: freePorts(t)}
	n.services(t, "up")
	t.Cleanup(func() { n.services(t, "down") })
	parse := func(raw string) *url.URL {
		u, err := url.Parse(raw)
		must(t, err)
		return u
	}
	port := func(offset int) string {
		base, err := strconv.Atoi(n.base)
		must(t, err)
		return strconv.Itoa(base + offset)
	}
	n.vhost = newVhostAt(t, parse("amqp://guest:guest@127.0.0.1:"+port(72)+"/"), parse("http://guest:guest@127.0.0.1:"+port(74)))
	return n
}

// freePorts finds a base for the ports of scripts/services at which nobody listens.
func freePorts(t *testing.T) string {
	t.Helper()
	for range 100 {
		base, free := 26000+100*rand.IntN(50), true
		for _, offset := range []int{69, 72, 73, 74} {
			listener, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", base+offset))
			if free = free && err == nil; err == nil {
				must(t, listener.Close())
			}
		}
		if free {
			return strconv.Itoa(base)
		}
	}
	t.Fatal("no ports are free")
	return ""
}

func (n *node) services(t *testing.T, command string) {
	t.Helper()
	c := exec.Command("../../scripts/services", command, "rabbitmq")
	c.Env = append(os.Environ(), "LEX_SERVICES_DIR="+n.dir, "LEX_SERVICES_PORT_BASE="+n.base)
	if output, err := c.CombinedOutput(); err != nil {
		t.Fatalf("scripts/services %s: %v\n%s", command, err, output)
	}
}

// kill ends the server as a crash would, and starts it again.
func (n *node) kill(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(n.dir, "rabbitmq-data", "pid"))
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(t, "the end of the server", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	n.services(t, "up")
}

// ctl runs rabbitmqctl.
func (n *node) ctl(t *testing.T, args ...string) {
	t.Helper()
	c := exec.Command("sh", append([]string{"-c", `. "$0/env.sh"; exec /usr/lib/rabbitmq/bin/rabbitmqctl "$@"`, filepath.Join(n.dir, "rabbitmq-data")}, args...)...)
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	if err := c.Run(); err != nil {
		t.Fatalf("rabbitmqctl %v: %v\n%s", args, err, &output)
	}
}

func TestNothingIsLostAndOrderIsKeptWhileTheServerIsRestartedAndKilled(t *testing.T) {
	n := startNode(t)
	const keys, publishers = 40, 2
	var (
		mu       sync.Mutex
		next     = map[string]int{} // what must come for the first time next
		handled  int
		sent     [publishers]int
		stopping = make(chan struct{})
		senders  sync.WaitGroup
	)
	o := rabbitbroker.Options{ReconnectFor: 30 * time.Second}
	must(t, n.open(t, o).Declare(t.Context(), group))
	handle := func(_ context.Context, d broker.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		var number int
		if _, err := fmt.Sscan(string(d.Body), &number); err != nil {
			return err
		}
		if number > next[d.Key] {
			t.Errorf("key %s: message %d came before %d", d.Key, number, next[d.Key])
		}
		if number == next[d.Key] {
			next[d.Key]++
			handled++
		}
		return nil
	}
	for range 3 {
		run(t, broker.New(n.open(t, o), broker.Options{}), handle)
	}
	for p := range publishers {
		b := broker.New(n.open(t, o), broker.Options{})
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stopping:
					return
				default:
				}
				var batch []broker.Message
				for k := p; k < keys; k += publishers {
					batch = append(batch, broker.Message{ID: fmt.Sprint(k, "-", i), Topic: "orders", Key: fmt.Sprint(k), Body: fmt.Append(nil, i)})
				}
				for { // until it is confirmed
					err := b.Publish(t.Context(), batch...)
					if err == nil {
						break
					}
					if !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrFull) {
						t.Errorf("publisher %d: %v", p, err)
						return
					}
				}
				sent[p] = i + 1
			}
		})
	}
	progress := func(what string) {
		t.Helper()
		mu.Lock()
		before := handled
		mu.Unlock()
		eventually(t, "progress "+what, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return handled > before+20*keys
		})
	}
	progress("at the start")
	n.services(t, "down")
	n.services(t, "up")
	progress("after a restart")
	n.kill(t)
	progress("after a crash")
	close(stopping)
	senders.Wait()
	eventually(t, "the handling of all messages", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return handled == (sent[0]+sent[1])*keys/publishers
	})
	t.Logf("%d messages", handled)
}

func TestAServerThatRunsShortOfMemoryIsFull(t *testing.T) {
	n := startNode(t)
	b := n.open(t, rabbitbroker.Options{FullWait: 300 * time.Millisecond})
	must(t, b.Declare(t.Context(), group))
	stream := consume(t, b, group, 10)
	if errs := b.Publish(t.Context(), []broker.Message{message(1)}); errs != nil {
		t.Fatal(errs)
	}
	held := receive(t, stream, 1)
	n.ctl(t, "set_vm_memory_high_watermark", "absolute", "1")
	large := message(2)
	large.Body = make([]byte, 1<<20)
	begun := time.Now()
	var errs []error
	eventually(t, "the alarm", func() bool {
		begun = time.Now()
		errs = b.Publish(t.Context(), []broker.Message{large})
		return errs != nil
	})
	if took := time.Since(begun); !errors.Is(errs[0], broker.ErrFull) || took > 20*time.Second {
		t.Errorf("got %v after %v, want ErrFull", errs, took)
	}
	batch := make([]broker.Message, 50) // more than the sockets hold
	for i := range batch {
		batch[i] = large
	}
	if errs := b.Publish(t.Context(), batch); errs == nil || !errors.Is(errs[49], broker.ErrFull) {
		t.Errorf("many: got %v, want ErrFull", errs)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	impatient := n.open(t, rabbitbroker.Options{FullWait: time.Hour})
	if errs := impatient.Publish(ctx, batch); errs == nil || !errors.Is(errs[49], context.DeadlineExceeded) {
		t.Errorf("with a context: got %v, want its error", errs)
	}
	must(t, stream.Ack(t.Context(), held)) // over a connection that is not blocked
	n.ctl(t, "set_vm_memory_high_watermark", "0.6")
	eventually(t, "publishing after the alarm", func() bool { return b.Publish(t.Context(), []broker.Message{message(3)}) == nil })
}
