package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/natsbroker"
)

// Server is a NATS server in this process. It is safe for concurrent use.
type Server struct {
	o      Options
	server *server.Server
	login  []nats.Option
	close  sync.Once
}

// Start starts a server, and returns when it takes connections.
func Start(o Options) (*Server, error) {
	o = o.withDefaults()
	so, err := o.server()
	if err != nil {
		return nil, fmt.Errorf("start an embedded NATS server: %w", err)
	}
	s, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("start an embedded NATS server: %w", err)
	}
	s.SetLoggerV2(logger{o.Logger}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(o.ReadyTimeout) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("start an embedded NATS server: %w: not ready within %v; the log says why", broker.ErrUnavailable, o.ReadyTimeout)
	}
	started := &Server{o: o, server: s}
	if so.Username != "" {
		started.login = append(started.login, nats.UserInfo(so.Username, so.Password))
	}
	return started, nil
}

// Open opens a broker on the server, over a connection inside of the process. SyncAlways is the server's own.
func (s *Server) Open(ctx context.Context, o natsbroker.Options) (*natsbroker.Backend, error) {
	o.SyncAlways = s.o.SyncAlways
	o.Client = append(s.client(), o.Client...)
	return natsbroker.Open(ctx, "", o)
}

// Connect makes a connection inside of the process, for what else the server can do. The caller closes it.
func (s *Server) Connect() (*nats.Conn, error) { return nats.Connect("", s.client()...) }

func (s *Server) client() []nats.Option {
	return append([]nats.Option{nats.InProcessServer(s.server)}, s.login...)
}

// URL is where clients of other processes connect, without user and password; "" where Options.Listen is.
func (s *Server) URL() string {
	if s.o.Listen == "" {
		return ""
	}
	return "nats://" + s.server.Addr().String()
}

// Close stops the server, after it has handed its leading parts to others of the cluster. Close the brokers before. Calling
// it again does nothing.
func (s *Server) Close() error {
	s.close.Do(func() {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	})
	return nil
}

// logger passes on what a person should know.
type logger struct{ log *slog.Logger }

func (logger) Noticef(string, ...any) {}
func (logger) Debugf(string, ...any)  {}
func (logger) Tracef(string, ...any)  {}

func (l logger) Warnf(format string, args ...any) {
	l.log.Warn("nats: " + fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("nats: " + fmt.Sprintf(format, args...))
}

func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("nats: " + fmt.Sprintf(format, args...))
}
