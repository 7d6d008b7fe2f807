package netfault_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"lexigram.dev/events/internal/netfault"
)

// echo answers with what it gets, and tells what it got.
func echo(t *testing.T) (addr string, got <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	seen := make(chan string, 16)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 64)
				for {
					n, err := c.Read(buf)
					if err != nil {
						_ = c.Close()
						return
					}
					seen <- string(buf[:n])
					_, _ = c.Write(buf[:n])
				}
			}()
		}
	}()
	return listener.Addr().String(), seen
}

func start(t *testing.T) (*netfault.Proxy, <-chan string) {
	t.Helper()
	addr, got := echo(t)
	p, err := netfault.Start(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, got
}

func dial(t *testing.T, p *netfault.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func ask(c net.Conn, patience time.Duration) error {
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 5))
	return err
}

func TestItCarriesBothWaysUntilItCuts(t *testing.T) {
	p, _ := start(t)
	c := dial(t, p)
	if err := ask(c, time.Minute); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if err := ask(c, time.Minute); err == nil {
		t.Error("an answer came over a connection that was cut")
	}
	if err := ask(dial(t, p), time.Minute); err != nil {
		t.Errorf("a new connection: %v", err)
	}
}

func TestItRefusesNewConnections(t *testing.T) {
	p, _ := start(t)
	old := dial(t, p)
	if err := ask(old, time.Minute); err != nil {
		t.Fatal(err)
	}
	p.Refuse(true)
	if err := ask(dial(t, p), time.Minute); err == nil || p.Refused() != 1 {
		t.Errorf("got %v, %d refused", err, p.Refused())
	}
	if err := ask(old, time.Minute); err != nil {
		t.Errorf("the old connection: %v", err)
	}
}

func TestItLosesAnswersOnly(t *testing.T) {
	p, got := start(t)
	p.Swallow(true)
	if err := ask(dial(t, p), 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want no answer", err)
	}
	if s := <-got; s != "hello" {
		t.Errorf("the server got %q", s)
	}
}

func TestItDelays(t *testing.T) {
	p, _ := start(t)
	p.Delay(30 * time.Millisecond)
	begun := time.Now()
	if err := ask(dial(t, p), time.Minute); err != nil || time.Since(begun) < 60*time.Millisecond {
		t.Errorf("%v after %v, want at least 60 ms", err, time.Since(begun))
	}
}

// A client loses its answer, and reconnects when the connection is cut.
func Example() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	p, err := netfault.Start(server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	p.Swallow(true)
	p.Cut()
	fmt.Println(p.Addr() != server.Addr().String())
	// Output: true
}
