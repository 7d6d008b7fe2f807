package redisbroker_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// ownServer is a server that a test starts for itself, to kill it or to set it up badly.
type ownServer struct {
	t       *testing.T
	folder  string
	port    int
	args    []string
	url     string
	client  *redis.Client
	process *exec.Cmd
}

// startServer starts a server of the test's own on a free port. Without the program the test is skipped, but fails where
// all services must be there.
func startServer(t *testing.T, args ...string) *ownServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("REQUIRE_SERVICES") == "1" || os.Getenv("CI") == "true" {
			t.Fatal("there is no redis-server program, and services are required")
		}
		t.Skip("install redis-server to run this")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	s := &ownServer{
		t: t, folder: t.TempDir(), port: port, args: args, url: fmt.Sprintf("redis://127.0.0.1:%d/0", port),
		client: redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), MaxRetries: -1}),
	}
	t.Cleanup(func() { _ = s.client.Close() })
	t.Cleanup(s.kill)
	s.start()
	return s
}

// start starts it, again after a kill.
func (s *ownServer) start() {
	s.t.Helper()
	s.process = exec.Command("redis-server", append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.folder, "--save", "", "--logfile", "log",
	}, s.args...)...)
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the start of redis-server", func() bool {
		err := s.client.Ping(s.t.Context()).Err()
		return err == nil || strings.HasPrefix(err.Error(), "NOAUTH")
	})
}

// kill ends it without a chance to save anything.
func (s *ownServer) kill() {
	if s.process == nil || s.process.Process == nil {
		return // it never ran
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// do runs a command.
func (s *ownServer) do(args ...any) {
	s.t.Helper()
	if err := s.client.Do(s.t.Context(), args...).Err(); err != nil {
		s.t.Fatal(err)
	}
}
