package testserver

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a server that a test has for itself.
type Redis struct {
	Port   int
	URL    string
	Client *redis.Client

	t       *testing.T
	folder  string
	args    []string
	process *exec.Cmd
}

// StartRedis starts a server on a free port, with further arguments for redis-server, which keeps nothing unless they say
// so. It ends with the test.
func StartRedis(t *testing.T, args ...string) *Redis {
	t.Helper()
	Program(t, "redis-server")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	r := &Redis{
		t: t, folder: t.TempDir(), Port: port, args: args, URL: fmt.Sprintf("redis://127.0.0.1:%d/0", port),
		Client: redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), MaxRetries: -1}),
	}
	t.Cleanup(func() { _ = r.Client.Close() })
	t.Cleanup(r.Kill)
	r.Start()
	return r
}

// Start starts it, again after Kill.
func (r *Redis) Start() {
	r.t.Helper()
	r.process = exec.Command("redis-server", append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(r.Port), "--dir", r.folder, "--save", "", "--logfile", "log",
	}, r.args...)...)
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		err := r.Client.Ping(r.t.Context()).Err()
		if err == nil || strings.HasPrefix(err.Error(), "NOAUTH") {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("redis-server does not start: %v", err)
		}
	}
}

// Kill ends it without a chance to save anything.
func (r *Redis) Kill() {
	if r.process == nil || r.process.Process == nil {
		return // it never ran
	}
	_ = r.process.Process.Kill()
	_ = r.process.Wait()
}

// Do runs a command.
func (r *Redis) Do(args ...any) {
	r.t.Helper()
	if err := r.Client.Do(r.t.Context(), args...).Err(); err != nil {
		r.t.Fatal(err)
	}
}
