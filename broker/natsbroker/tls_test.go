package natsbroker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/internal/testserver"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// serveTLS runs a server that speaks TLS only, and gives its address.
func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	return serveWith(t, &natsserver.Options{Username: "ann", Password: "s3cret", TLS: true, TLSConfig: config, TLSTimeout: 10})
}

func TestMessagesPassOverTLSWithTheAuthorityThatIsNamed(t *testing.T) {
	authority := testserver.NewAuthority(t)
	addr := serveTLS(t, authority.Server())
	for _, scheme := range []string{"tls+nats", "nats"} { // the server says that it wants TLS
		backend := open(t, scheme+"://ann:s3cret@"+addr+"?tls_ca="+url.QueryEscape(authority.File), natsbroker.Options{OnWarning: silent})
		b := broker.New(backend, broker.Options{})
		g := broker.Group{Name: "of-" + strings.ReplaceAll(scheme, "+", "-"), Topics: []string{"orders"}}
		must(t, b.Declare(t.Context(), g))
		must(t, b.Publish(t.Context(), broker.Message{ID: scheme, Topic: "orders", Key: "k"}))
		s := consume(t, backend, g, 10)
		must(t, s.Ack(t.Context(), receive(t, s, 1)))
	}
}

func TestAServerThatCannotProveItselfIsRefusedAtOnce(t *testing.T) {
	addr := serveTLS(t, testserver.NewAuthority(t).Server())
	plain := serve(t)
	for name, brokerURL := range map[string]string{
		"another authority":             "tls+nats://ann:s3cret@" + addr + "?tls_ca=" + url.QueryEscape(testserver.NewAuthority(t).File),
		"the system's authorities":      "nats://ann:s3cret@" + addr,
		"a server that speaks no TLS":   "tls+nats://ann:s3cret@" + plain,
		"one that is asked for by true": "nats://ann:s3cret@" + plain + "?tls=true",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := natsbroker.Open(ctx, brokerURL, natsbroker.Options{OnWarning: silent})
			if !errors.Is(err, broker.ErrRefused) || errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, want ErrRefused at once", err)
			}
			if text := err.Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, "tls: ") && !strings.Contains(text, "secure connection") {
				t.Errorf("the error shows the password, or not the reason: %v", err)
			}
		})
	}
}
