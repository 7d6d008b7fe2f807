package natsbroker_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/internal/testserver"
)

// detour sends the requests of one handle to a part of JetStream's API another way, to the test, while it is on.
type detour struct {
	part string // such as CONSUMER.INFO
	on   atomic.Bool

	requests chan *nats.Msg
}

// newDetour makes one that is off.
func newDetour(t *testing.T, brokerURL, part string) *detour {
	t.Helper()
	d := &detour{part: part, requests: make(chan *nats.Msg, 1000)}
	_, err := client(t, brokerURL).Conn().ChanSubscribe(d.subject("$JS.DET."), d.requests)
	must(t, err)
	must(t, client(t, brokerURL).Conn().Flush())
	return d
}

func (d *detour) subject(prefix string) string { return prefix + d.part + ".>" }

// Dial implements nats.CustomDialer.
func (d *detour) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &detouring{Conn: conn, d: d}, nil
}

// detouring changes what is written: both ways are of the same length.
type detouring struct {
	net.Conn
	d *detour
}

func (c *detouring) Write(p []byte) (int, error) {
	if c.d.on.Load() {
		p = bytes.ReplaceAll(p, []byte("$JS.API."+c.d.part), []byte("$JS.DET."+c.d.part))
	}
	return c.Conn.Write(p)
}

// goOn lets a request reach the server after all.
func (d *detour) goOn(conn *nats.Conn, request *nats.Msg) error {
	onward := &nats.Msg{Subject: "$JS.API." + strings.TrimPrefix(request.Subject, "$JS.DET."), Reply: request.Reply, Data: request.Data, Header: request.Header}
	return conn.PublishMsg(onward)
}

func TestAPartitionWhoseTakeoverFailsIsTakenByAnotherStream(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	o.Partitions = 2
	g := group("a")
	first := open(t, url, o)
	staying := consume(t, first, g, 100) // holds both
	d := newDetour(t, url, "CONSUMER.INFO")
	d.on.Store(true)
	go func() {
		for {
			select {
			case request := <-d.requests: // as a cluster without a leader does
				_ = request.Respond([]byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`))
			case <-t.Context().Done():
				return
			}
		}
	}()
	o.Client = append(o.Client, nats.SetCustomDialer(d))
	second := open(t, url, o)
	joining := consume(t, second, g, 100) // is given one, and may not look at it
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := joining.Receive(ctx, 1); !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "temporarily unavailable") {
		t.Fatalf("got %v, want ErrUnavailable: the partition stands still", err)
	}
	d.on.Store(false)
	must(t, joining.Close())
	rejoined := consume(t, second, g, 100)
	keys := []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"}
	for _, key := range keys {
		must(t, errors.Join(first.Publish(t.Context(), []broker.Message{{ID: key, Topic: "a", Key: key}})...))
	}
	var got atomic.Int64
	all, done := context.WithTimeout(t.Context(), 30*time.Second)
	defer done()
	var members sync.WaitGroup
	for _, s := range []broker.Stream{staying, rejoined} {
		members.Go(func() {
			for {
				received, err := s.Receive(all, 10)
				if err != nil {
					return
				}
				if err := s.Ack(t.Context(), received); err != nil {
					t.Error(err)
				}
				if got.Add(int64(len(received))) >= int64(len(keys)) {
					done()
				}
			}
		})
	}
	members.Wait()
	if got.Load() != int64(len(keys)) {
		t.Errorf("%d of %d messages came", got.Load(), len(keys))
	}
}

func TestAMessageRefusedByALateRenewalComesAgain(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	d := newDetour(t, url, "DIRECT.GET") // how the record of the members is read
	o.Client = append(o.Client, nats.SetCustomDialer(d))
	b := open(t, url, o)
	g := group("a")
	s := consume(t, b, g, 100)
	must(t, errors.Join(b.Publish(t.Context(), []broker.Message{{ID: "1", Topic: "a", Key: "k"}, {ID: "2", Topic: "a", Key: "k"}})...))
	first := receive(t, s, 1)[0]
	d.on.Store(true)
	late := <-d.requests
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for first.Owned(first.Token) { // until the renewal is late
		<-tick.C
	}
	d.on.Store(false)
	must(t, d.goOn(client(t, url).Conn(), late)) // now it succeeds
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		if _, err := s.Receive(ctx, 1); err != nil {
			if !errors.Is(err, broker.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable: what it was refused cannot come again", err)
			}
			break
		}
	}
	must(t, s.Close())
	for i, r := range receive(t, consume(t, b, g, 100), 2) {
		if want := []string{"1", "2"}[i]; r.Message.ID != want {
			t.Errorf("message %d is %s, want %s", i, r.Message.ID, want)
		}
	}
}
