package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nuid"

	"lexigram.dev/events/broker"
)

// Options are the settings of a Server. StoreDir is required, and for a cluster Name, ClusterListen and Routes.
type Options struct {
	// StoreDir is the folder that messages are kept in; one server at a time may use it.
	StoreDir string

	// Name tells this server from the others of the cluster. Each must keep its own. Defaults to "embedded".
	Name string

	// Listen is where clients of other processes connect, "host:port"; port 0: any that is free, see Server.URL. Defaults
	// to "": only this process can connect. A server of a cluster listens in any case; without Listen it is a port of the
	// loopback, with a password that nobody is told unless User is given.
	Listen string

	// Cluster is the name of the cluster, the same on all its servers. Defaults to "lexigram" where there are routes.
	Cluster string

	// ClusterListen is where the other servers connect, "host:port".
	ClusterListen string

	// Routes are the ClusterListen of all servers of the cluster; this one's own may be among them. JetStream needs three
	// servers or five; most of them must run for it to work.
	Routes []string

	// User and Password, where given, are asked of clients of other processes and of the other servers, which must have
	// the same. Without them, anybody who reaches the ports may do anything: listen on the loopback or a private network.
	User, Password string

	// SyncAlways has each message on disk before it is confirmed; about a tenth of the speed. Defaults to false: it is
	// written, and synced within 2 minutes, so that a power failure may lose confirmed messages unless a cluster keeps
	// them.
	SyncAlways bool

	// MaxBytes bounds the files. Defaults to the server's own limit: three quarters of what is free on the disk.
	MaxBytes int64

	// MaxPayloadBytes bounds a message. Defaults to 1 MiB; at most 64 MiB.
	MaxPayloadBytes int

	// ReadyTimeout bounds the start. Defaults to 10 s. The cluster may form after it: opening a broker waits for that.
	ReadyTimeout time.Duration

	// Logger hears the server's warnings and errors. Defaults to slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, "embedded")
	if len(o.Routes) > 0 {
		o.Cluster = cmp.Or(o.Cluster, "lexigram")
	}
	o.MaxPayloadBytes = cmp.Or(o.MaxPayloadBytes, 1<<20)
	o.ReadyTimeout = cmp.Or(o.ReadyTimeout, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// server gives the settings of the server.
func (o Options) server() (*server.Options, error) {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(o.StoreDir == "", "no StoreDir: say where messages are kept")
	fault((o.User == "") != (o.Password == ""), "one of User and Password: both are needed")
	fault(o.MaxBytes < 0, "maximal size of %d bytes: must not be negative", o.MaxBytes)
	fault(o.MaxPayloadBytes < 1024 || o.MaxPayloadBytes > 64<<20, "payload of %d bytes: must be 1 KiB to 64 MiB", o.MaxPayloadBytes)
	fault((len(o.Routes) > 0) != (o.ClusterListen != ""), "one of Routes and ClusterListen: a cluster needs both")
	so := &server.Options{
		ServerName: o.Name, JetStream: true, StoreDir: o.StoreDir, SyncAlways: o.SyncAlways, JetStreamMaxStore: o.MaxBytes,
		MaxPayload: int32(o.MaxPayloadBytes), //nolint:gosec // G115: at most 64 MiB
		MaxPending: 256 << 20, NoSigs: true, DontListen: o.Listen == "", Username: o.User, Password: o.Password,
	}
	address := func(what, text string, host *string, port *int) {
		if text == "" {
			return
		}
		addr, err := net.ResolveTCPAddr("tcp", text)
		fault(err != nil, "%s %q: must be host:port", what, text)
		if err == nil {
			*host, *port = addr.IP.String(), cmp.Or(addr.Port, server.RANDOM_PORT)
			if addr.IP == nil {
				*host = "0.0.0.0"
			}
		}
	}
	address("listen address", o.Listen, &so.Host, &so.Port)
	address("cluster address", o.ClusterListen, &so.Cluster.Host, &so.Cluster.Port)
	if len(o.Routes) > 0 && o.Listen == "" { // a server that does not listen makes no routes
		so.DontListen, so.Host, so.Port = false, "127.0.0.1", server.RANDOM_PORT
		if o.User == "" {
			so.Username, so.Password = "embedded", nuid.Next()+nuid.Next()
		}
	}
	so.Cluster.Name = o.Cluster
	so.Cluster.Username, so.Cluster.Password = o.User, o.Password
	for _, route := range o.Routes {
		u := &url.URL{Scheme: "nats-route", Host: route}
		if o.User != "" {
			u.User = url.UserPassword(o.User, o.Password)
		}
		_, _, err := net.SplitHostPort(route)
		fault(err != nil, "route %q: must be host:port", route)
		so.Routes = append(so.Routes, u)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("%w: %w", broker.ErrInvalid, err)
	}
	return so, nil
}
