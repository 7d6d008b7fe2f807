package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/monitor"
	"lexigram.dev/events/store"
)

// goodbye is how long requests that run may take when serve ends.
const goodbye = 10 * time.Second

func (a *app) serve() *cobra.Command {
	var (
		addr    string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use: "serve", Short: "Answer health checks and Prometheus for a store and a broker", Args: cobra.NoArgs,
		Long: "serve answers over HTTP until Ctrl-C or SIGTERM:\n" +
			"  /healthz  200 as long as the process answers\n" +
			"  /readyz   200 where the store and the broker answer, else 503, with JSON that says which does not\n" +
			"  /metrics  for Prometheus: events_up, lag of each subscription, projection and relay, dead letters, sagas\n" +
			"Store and broker are those of the URLs, or of --config, or of application.yaml where it is here and no URL is given.\n" +
			"It tells of all programs that work on the store. It asks for no password: keep it within your network.",
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if timeout <= 0 {
				return usagef("serve: --timeout must be positive")
			}
			c, err := a.fromConfig()
			if err != nil {
				return err
			}
			if a.storeURL == "" && a.brokerURL == "" {
				return a.nothingNamed("serve: nothing to watch", c)
			}
			return a.watch(ctx, monitor.Options{Timeout: timeout}, func(o monitor.Options) error { return a.listen(ctx, addr, o) })
		}),
	}
	a.brokerFlag(cmd)
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:9464", "where to listen; :9464 for all addresses, port 0 for one that is free")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long the store and the broker may take to answer")
	return cmd
}

// watch opens what is named, and closes it when do is done.
func (a *app) watch(ctx context.Context, o monitor.Options, do func(monitor.Options) error) (err error) {
	if a.storeURL != "" {
		var s *store.Store
		if s, err = a.open(ctx, toRead); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		o.Store = s
	}
	if a.brokerURL == "" {
		return do(o)
	}
	return a.withBroker(ctx, func(b *broker.Broker) error {
		o.Broker = b
		return do(o)
	})
}

// listen serves until ctx ends, and then lets the requests that run finish.
func (a *app) listen(ctx context.Context, addr string, o monitor.Options) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	server := &http.Server{Handler: monitor.Handler(o), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(a.stderr, "listening on http://%s: /healthz, /readyz, /metrics\n", listener.Addr())
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	err = server.Shutdown(patience)
	if failure := <-ended; !errors.Is(failure, http.ErrServerClosed) {
		err = errors.Join(failure, err)
	}
	if err != nil {
		return fmt.Errorf("serve: requests were cut off: %w", errors.Join(err, server.Close()))
	}
	return nil
}
