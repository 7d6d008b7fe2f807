package rabbitbroker

import (
	"net"
	"sync/atomic"
	"time"
)

// writeTimeout bounds each write to a server that does not read.
const writeTimeout = 30 * time.Second

// socket is a connection whose writes cannot hang: the client sends without a deadline of its own.
type socket struct {
	net.Conn
	broken atomic.Bool // known here a moment before the client says so
}

func (s *socket) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		s.broken.Store(true)
		return 0, err
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		s.broken.Store(true)
	}
	return n, err
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil {
		s.broken.Store(true)
	}
	return n, err
}

// hurry lets a write that hangs go on for so long only; the next one has all its time again.
func (s *socket) hurry(d time.Duration) { _ = s.SetWriteDeadline(time.Now().Add(d)) }

// abort ends the connection without a word.
func (s *socket) abort() {
	s.broken.Store(true)
	_ = s.Close()
}
