// Mongofake is a server for tests that speaks MongoDB's protocol: FerretDB 1, embedded, over PostgreSQL, made to keep
// two promises of MongoDB that FerretDB does not keep and that mongostore relies on:
//
//   - Every command is atomic: commands run one after the other (proxy.go).
//   - A unique index over an array field holds for each element of the array (unique.go).
//
// With -plain it also offers FerretDB as it is, on the same data.
//
// What FerretDB has not got, it has not got here either: transactions, change streams, TTL indexes, collations.
package main

import (
	"context"
	"flag"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "address to listen on")
	plain := flag.String("plain", "", "address on which to offer FerretDB as it is; none by default")
	postgres := flag.String("postgres", "", "URL of the PostgreSQL database that keeps the data; it must exist")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, log, *listen, *plain, *postgres); err != nil {
		log.Error("mongofake ends", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger, listen, plain, postgres string) error {
	pool, err := pgxpool.New(ctx, postgres)
	if err != nil {
		return err
	}
	defer pool.Close()
	ferret, err := ferretdb.New(&ferretdb.Config{
		Listener:      ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:        slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:       "postgresql",
		PostgreSQLURL: postgres,
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- ferret.Run(ctx) }()
	p := &proxy{
		backend: strings.TrimSuffix(strings.TrimPrefix(ferret.MongoDBURI(), "mongodb://"), "/"),
		unique:  &unique{pool: pool, log: log},
	}
	if plain != "" {
		if err := accept(ctx, plain, p.pass); err != nil {
			return err
		}
	}
	if err := accept(ctx, listen, p.serve); err != nil {
		return err
	}
	log.Info("mongofake is ready", "address", listen, "plain", plain)
	return <-ended
}

// accept serves the connections to an address until ctx ends.
func accept(ctx context.Context, address string, serve func(context.Context, net.Conn)) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go serve(ctx, client)
		}
	}()
	return nil
}
