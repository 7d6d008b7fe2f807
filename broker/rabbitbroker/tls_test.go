package rabbitbroker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/rabbitbroker"
	"lexigram.dev/events/internal/testserver"
)

// encrypt puts TLS before a server that knows none, and gives the address.
func encrypt(t *testing.T, config *tls.Config, target string) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	must(t, err)
	var carrying sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	carrying.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			carrying.Go(func() { carry(ctx, client, target) })
		}
	})
	t.Cleanup(func() {
		stop()
		_ = listener.Close()
		carrying.Wait()
	})
	return listener.Addr().String()
}

// carry joins a client to the server until one of them, or ctx, ends it.
func carry(ctx context.Context, client net.Conn, target string) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	end := func() { _, _ = client.Close(), server.Close() }
	defer context.AfterFunc(ctx, end)()
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{server, client}, {client, server}} {
		ways.Go(func() {
			defer end()
			_, _ = io.Copy(way[0], way[1])
		})
	}
	ways.Wait()
}

// encrypted gives the URL of the virtual host at an address, with a query.
func (v *vhost) encrypted(t *testing.T, addr string, query url.Values) string {
	t.Helper()
	u, err := url.Parse(v.url(addr))
	must(t, err)
	u.Scheme, u.RawQuery = "amqps", query.Encode()
	return u.String()
}

func TestMessagesPassOverTLSWithTheAuthorityThatIsNamed(t *testing.T) {
	v := newVhost(t)
	authority := testserver.NewAuthority(t)
	addr := encrypt(t, authority.Server(), v.server.Host)
	for name, open := range map[string]func(t *testing.T) *rabbitbroker.Broker{
		"in the URL": func(t *testing.T) *rabbitbroker.Broker {
			return openURL(t, v.encrypted(t, addr, url.Values{"cacertfile": {authority.File}}), rabbitbroker.Options{})
		},
		"in the options": func(t *testing.T) *rabbitbroker.Broker {
			return openURL(t, v.encrypted(t, addr, nil), rabbitbroker.Options{TLS: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			must(t, b.Declare(t.Context(), group))
			must(t, errors.Join(b.Publish(t.Context(), []broker.Message{message(1)})...))
			s := consume(t, b, group, 10)
			must(t, s.Ack(t.Context(), receive(t, s, 1)))
		})
	}
}

func TestAServerThatCannotProveItselfIsRefusedAtOnce(t *testing.T) {
	v := newVhost(t)
	addr := encrypt(t, testserver.NewAuthority(t).Server(), v.server.Host)
	for name, brokerURL := range map[string]string{
		"another authority":         v.encrypted(t, addr, url.Values{"cacertfile": {testserver.NewAuthority(t).File}}),
		"the system's authorities":  v.encrypted(t, addr, nil),
		"a port that speaks no TLS": v.encrypted(t, "", nil),
		"a name that is another's":  v.encrypted(t, addr, url.Values{"server_name_indication": {"rabbit.example"}}),
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(brokerURL)
			must(t, err)
			u.User = url.UserPassword("guest", secret)
			err = openFails(t, u.String(), rabbitbroker.Options{})
			if !errors.Is(err, broker.ErrRefused) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "tls: ") {
				t.Errorf("got %v, want ErrRefused at once that names TLS", err)
			}
		})
	}
}

func TestFilesForTLSThatCannotBeUsedAreNoReasonToTryAgain(t *testing.T) {
	broken, missing := filepath.Join(t.TempDir(), "broken.pem"), filepath.Join(t.TempDir(), "missing.pem")
	must(t, os.WriteFile(broken, []byte("no certificate"), 0o600))
	for name, query := range map[string]url.Values{
		"a broken authority":        {"cacertfile": {broken}},
		"a missing authority":       {"cacertfile": {missing}},
		"a broken certificate":      {"certfile": {broken}, "keyfile": {broken}},
		"a certificate and no key":  {"certfile": {broken}},
		"a key without certificate": {"keyfile": {broken}},
	} {
		t.Run(name, func(t *testing.T) {
			err := openFails(t, "amqps://ann:"+secret+"@127.0.0.1:1/?"+query.Encode(), rabbitbroker.Options{})
			if !errors.Is(err, broker.ErrInvalid) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want ErrInvalid at once", err)
			}
		})
	}
}
