package netfault

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy carries connections to one server. It is safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	refuse   atomic.Bool
	refused  atomic.Int64
	swallow  atomic.Bool
	delay    atomic.Int64 // nanoseconds
	closing  chan struct{}
	end      sync.Once

	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// Start listens on a free port of the loopback and carries what comes to target, "host:port".
func Start(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy to %s: %w", target, err)
	}
	p := &Proxy{target: target, listener: listener, conns: map[net.Conn]bool{}, closing: make(chan struct{})}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where it listens, "127.0.0.1:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets all connections, in the middle of what they are doing. New ones are welcome.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not a goodbye
		}
		_ = c.Close()
	}
	clear(p.conns)
}

// Refuse makes new connections end as soon as they are made, until it is told otherwise. Those that are open go on.
func (p *Proxy) Refuse(refuse bool) { p.refuse.Store(refuse) }

// Refused counts the connections that Refuse has ended.
func (p *Proxy) Refused() int64 { return p.refused.Load() }

// Swallow loses what the server answers, until it is told otherwise: the server does what it is asked, and nobody learns
// of it.
func (p *Proxy) Swallow(swallow bool) { p.swallow.Store(swallow) }

// Delay makes each piece that is carried wait, in both directions. 0 ends it.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Close ends everything and waits until it has ended. Calling it again does nothing.
func (p *Proxy) Close() {
	p.end.Do(func() { close(p.closing) })
	p.Refuse(true)
	_ = p.listener.Close()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refuse.Load() {
			p.refused.Add(1)
			_ = client.Close()
			continue
		}
		server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		if p.refuse.Load() { // Close, or Refuse and Cut, came in between
			p.Cut()
		}
		p.wg.Go(func() { p.carry(client, server, false) })
		p.wg.Go(func() { p.carry(server, client, true) })
	}
}

// hold waits, but not beyond Close.
func (p *Proxy) hold(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.closing:
	}
}

// carry moves bytes one way until either end has closed.
func (p *Proxy) carry(from, to net.Conn, answers bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if d := p.delay.Load(); d > 0 {
			p.hold(time.Duration(d))
		}
		if n > 0 && !(answers && p.swallow.Load()) {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = from.Close()
	_ = to.Close()
	p.mu.Lock()
	delete(p.conns, from)
	delete(p.conns, to)
	p.mu.Unlock()
}
