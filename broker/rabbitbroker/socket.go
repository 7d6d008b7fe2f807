package rabbitbroker

import (
	"net"
	"time"
)

// writeTimeout bounds each write to a server that does not read.
const writeTimeout = 30 * time.Second

// socket is a connection whose writes cannot hang: the client sends without a deadline of its own.
type socket struct{ net.Conn }

func (s *socket) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// hurry lets a write that hangs go on for so long only; the next one has all its time again.
func (s *socket) hurry(d time.Duration) { _ = s.SetWriteDeadline(time.Now().Add(d)) }

// abort ends the connection without a word.
func (s *socket) abort() { _ = s.Close() }
