package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lexigram.dev/events/drivers"
	"lexigram.dev/events/store"
)

type serverSettings struct{ addr, store string }

// serve runs the shop until ctx ends.
func serve(ctx context.Context, o serverSettings, log *slog.Logger) (err error) {
	backend, err := openStore(ctx, o.store)
	if err != nil {
		return err
	}
	s, err := newShop(ctx, backend, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.engine.Close()) }()
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	log.Info("the shop is open", slog.String("page", "http://"+listener.Addr().String()+"/"), slog.String("store", o.store))
	return s.run(ctx, listener)
}

// openStore opens a store, and makes it where it is missing.
func openStore(ctx context.Context, url string) (store.Backend, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
	}
	return store.OpenURL(ctx, url, drivers.All(), store.OpenOptions{AutoMigrate: true})
}

// run serves on the listener and runs the engine, until ctx ends or one of them fails.
func (s *shop) run(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }, // open pages end with it
	}
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(listener)
		stop()
	}()
	err := s.engine.Run(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	stop()
	shut := server.Shutdown(closing)
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve: %w", e))
	}
	return errors.Join(err, shut)
}
