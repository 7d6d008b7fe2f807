package rabbitbroker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/rabbitbroker"
	"lexigram.dev/events/internal/netfault"
	"lexigram.dev/events/internal/testserver"
)

// variable gives the URL that an environment variable holds.
func variable(tb testing.TB, name string) *url.URL {
	tb.Helper()
	u, err := url.Parse(testserver.URL(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// vhost is a virtual host that a test has to itself.
type vhost struct {
	server     *url.URL // amqp
	management *url.URL
	name       string
}

// newVhost makes a virtual host on the server of the tests, which is removed when the test ends.
func newVhost(tb testing.TB) *vhost {
	tb.Helper()
	return newVhostAt(tb, variable(tb, "TEST_RABBITMQ_URL"), variable(tb, "TEST_RABBITMQ_MANAGEMENT_URL"))
}

func newVhostAt(tb testing.TB, server, management *url.URL) *vhost {
	tb.Helper()
	v := &vhost{server: server, management: management, name: fmt.Sprintf("test-%08x", rand.Uint32())}
	v.manage(tb, http.MethodPut, "/api/vhosts/"+v.name, nil)
	v.manage(tb, http.MethodPut, "/api/permissions/"+v.name+"/"+server.User.Username(), permissions{".*", ".*", ".*"})
	tb.Cleanup(func() { v.manage(tb, http.MethodDelete, "/api/vhosts/"+v.name, nil) })
	return v
}

type permissions struct {
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// manage asks the management interface; the answer is decoded into answers.
func (v *vhost) manage(tb testing.TB, method, path string, body any, answers ...any) {
	tb.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	u := *v.management
	u.User = nil
	request, err := http.NewRequestWithContext(context.Background(), method, u.String()+path, bytes.NewReader(content))
	if err != nil {
		tb.Fatal(err)
	}
	password, _ := v.management.User.Password()
	request.SetBasicAuth(v.management.User.Username(), password)
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(response.Body)
		tb.Fatalf("%s %s: %s: %s", method, path, response.Status, text)
	}
	for _, answer := range answers {
		if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
			tb.Fatal(err)
		}
	}
}

// url is where the virtual host is reached, at another address if one is given.
func (v *vhost) url(addr string) string {
	u := *v.server
	u.Path = "/" + v.name
	if addr != "" {
		u.Host = addr
	}
	return u.String()
}

// open gives a Broker that is closed when the test ends.
func (v *vhost) open(tb testing.TB, o rabbitbroker.Options) *rabbitbroker.Broker {
	tb.Helper()
	return openURL(tb, v.url(""), o)
}

func openURL(tb testing.TB, brokerURL string, o rabbitbroker.Options) *rabbitbroker.Broker {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := rabbitbroker.Open(ctx, brokerURL, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// openThroughProxy gives a Broker over connections that the test can break.
func (v *vhost) openThroughProxy(tb testing.TB, o rabbitbroker.Options) (*rabbitbroker.Broker, *netfault.Proxy) {
	tb.Helper()
	proxy, err := netfault.Start(v.server.Host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(proxy.Close)
	return openURL(tb, v.url(proxy.Addr()), o), proxy
}

// channel gives the bare client's channel.
func (v *vhost) channel(tb testing.TB) *amqp.Channel {
	tb.Helper()
	conn, err := amqp.Dial(v.url(""))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		tb.Fatal(err)
	}
	return ch
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func message(n int) broker.Message {
	return broker.Message{ID: fmt.Sprint("m", n), Topic: "orders", Key: fmt.Sprint("k", n%10), Body: []byte(fmt.Sprint(n / 10))}
}

// receive takes exactly n messages from a stream.
func receive(tb testing.TB, s broker.Stream, n int) []broker.Received {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	var got []broker.Received
	for len(got) < n {
		more, err := s.Receive(ctx, n-len(got))
		if err != nil {
			tb.Fatalf("receive: %v, after %d of %d messages", err, len(got), n)
		}
		got = append(got, more...)
	}
	return got
}

func consume(tb testing.TB, b *rabbitbroker.Broker, g broker.Group, prefetch int) broker.Stream {
	tb.Helper()
	s, err := b.Consume(tb.Context(), g, prefetch)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

var group = broker.Group{Name: "mailer", Topics: []string{"orders"}}

// eventually waits until something holds that no signal tells of.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatalf("%s did not happen", what)
		}
	}
}
