package rabbitbroker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/rabbitbroker"
	"lexigram.dev/events/internal/netfault"
)

const secret = "hunter2"

// openFails opens a broker that must not be opened, and gives the error.
func openFails(t *testing.T, brokerURL string, o rabbitbroker.Options) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b, err := rabbitbroker.Open(ctx, brokerURL, o)
	if err == nil {
		_ = b.Close()
		t.Fatal("it was opened")
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error shows the password: %v", err)
	}
	return err
}

func TestAServerThatRefusesIsNotAskedAgain(t *testing.T) {
	v := newVhost(t)
	addUser(t, v, "stranger", nil)
	addUser(t, v, "reader", &permissions{Configure: "^$", Write: "^$", Read: ".*"})
	as := func(user, password, name string) string {
		u, err := url.Parse(v.url(""))
		must(t, err)
		u.User = url.UserPassword(user, password)
		u.Path = "/" + name
		return u.String()
	}
	for name, u := range map[string]string{
		"a wrong password":              as("guest", secret, v.name),
		"a missing virtual host":        as("guest", "guest", v.name+"-missing"),
		"no access to the virtual host": as(v.name+"-stranger", secret, v.name),
		"no permission to configure":    as(v.name+"-reader", secret, v.name),
	} {
		t.Run(name, func(t *testing.T) {
			// the server itself takes three seconds over a wrong password
			if err := openFails(t, u, rabbitbroker.Options{}); !errors.Is(err, broker.ErrRefused) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want ErrRefused at once", err)
			}
		})
	}
}

// addUser makes a user that is removed when the test ends, with permissions for the virtual host if there are any.
func addUser(t *testing.T, v *vhost, name string, p *permissions) {
	t.Helper()
	name = v.name + "-" + name
	v.manage(t, http.MethodPut, "/api/users/"+name, map[string]string{"password": secret, "tags": ""})
	t.Cleanup(func() { v.manage(t, http.MethodDelete, "/api/users/"+name, nil) })
	if p != nil {
		v.manage(t, http.MethodPut, "/api/permissions/"+v.name+"/"+name, p)
	}
}

func TestWithoutThePermissionToWriteOrReadACallIsRefused(t *testing.T) {
	v := newVhost(t)
	v.open(t, rabbitbroker.Options{}) // makes the exchange
	addUser(t, v, "mute", &permissions{Configure: ".*", Write: "@unrouted|mailer|amq.default", Read: "^amq"})
	u, err := url.Parse(v.url(""))
	must(t, err)
	u.User = url.UserPassword(v.name+"-mute", secret)
	b := openURL(t, u.String(), rabbitbroker.Options{})
	if errs := b.Publish(t.Context(), []broker.Message{message(1), message(2)}); errs == nil || !errors.Is(errs[0], broker.ErrRefused) {
		t.Errorf("publish: got %v, want ErrRefused", errs)
	}
	if err := b.Declare(t.Context(), group); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("declare: got %v, want ErrRefused", err)
	}
}

func TestUsersOfAnExchangeAgreeOnItsSettings(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{Partitions: 3})
	must(t, b.Declare(t.Context(), group))
	err := openFails(t, v.url(""), rabbitbroker.Options{Partitions: 4})
	if !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), "another number of partitions") {
		t.Errorf("got %v, want ErrRefused because of the partitions", err)
	}
	other := v.open(t, rabbitbroker.Options{Partitions: 3, DeliveryLimit: 7})
	if _, err := other.Consume(t.Context(), group, 10); !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("got %v, want ErrRefused because of the delivery limit", err)
	}
}

func TestAServerThatCannotBeReachedIsTriedAgainUntilTheContextEnds(t *testing.T) {
	v := newVhost(t)
	proxy, err := netfault.Start(v.server.Host)
	must(t, err)
	t.Cleanup(proxy.Close)
	proxy.Refuse(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = rabbitbroker.Open(ctx, v.url(proxy.Addr()), rabbitbroker.Options{})
	if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), proxy.Addr()) {
		t.Errorf("got %v, want ErrUnavailable and the context's error, with the address", err)
	}
	if proxy.Refused() < 2 {
		t.Errorf("it was tried %d times", proxy.Refused())
	}
	opened := make(chan error, 1)
	go func() {
		b, err := rabbitbroker.Open(t.Context(), v.url(proxy.Addr()), rabbitbroker.Options{})
		if err == nil {
			err = b.Close()
		}
		opened <- err
	}()
	before := proxy.Refused()
	eventually(t, "another try", func() bool { return proxy.Refused() > before })
	proxy.Refuse(false)
	must(t, <-opened)
}

func TestABadURLIsRefusedWithoutShowingIt(t *testing.T) {
	for name, u := range map[string]string{
		"another scheme":          "http://u:" + secret + "@h/",
		"no valid URL":            "amqp://u:" + secret + "%zz@h/",
		"an unknown parameter":    "amqp://u:" + secret + "@h/?colour=red",
		"a number that is none":   "amqp://u:" + secret + "@h/?partitions=many",
		"no partitions":           "amqp://u:" + secret + "@h/?partitions=0",
		"too many partitions":     "amqp://u:" + secret + "@h/?partitions=1000",
		"a bad name":              "amqp://u:" + secret + "@h/?exchange=a%20b",
		"a heartbeat that is odd": "amqp://u:" + secret + "@h/?heartbeat=often",
	} {
		t.Run(name, func(t *testing.T) {
			if err := openFails(t, u, rabbitbroker.Options{}); !errors.Is(err, broker.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
	err := openFails(t, "amqp://h/?exchange=a", rabbitbroker.Options{Exchange: "b"})
	if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), `names exchange "a", the options name "b"`) {
		t.Errorf("got %v", err)
	}
	err = openFails(t, "amqp://h/", rabbitbroker.Options{DeliveryLimit: -1, Rebalance: -1, MaxMessageBytes: -1, FullWait: -1})
	for _, want := range []string{"delivery limit", "rebalance", "largest message", "full wait"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name every fault: %s", err, want)
		}
	}
}

func TestAConnectionThatEndsDuringTheLoginIsMadeAgain(t *testing.T) {
	v := newVhost(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	t.Cleanup(func() { _ = listener.Close() })
	serving.Go(func() {
		for first := true; ; first = false {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			if first {
				hangUpDuringLogin(t, client, v.server.Host)
				continue
			}
			serving.Go(func() { carry(ctx, client, v.server.Host) })
		}
	})
	openURL(t, v.url(listener.Addr().String()), rabbitbroker.Options{})
}

// hangUpDuringLogin lets the server say its first word, and ends the connection when the client answers.
func hangUpDuringLogin(t *testing.T, client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	const hello, frame = 8, 7 // bytes of the protocol's name, and of what is before a frame's content
	word := make([]byte, frame)
	if _, err := io.CopyN(server, client, hello); err != nil {
		t.Error(err)
		return
	}
	if _, err := io.ReadFull(server, word); err != nil {
		t.Error(err)
		return
	}
	start := io.MultiReader(bytes.NewReader(word), io.LimitReader(server, int64(binary.BigEndian.Uint32(word[3:]))+1))
	if _, err := io.Copy(client, start); err != nil {
		t.Error(err)
		return
	}
	if _, err := io.ReadFull(client, word); err != nil { // of its answer
		t.Error(err)
	}
}
