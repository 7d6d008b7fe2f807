package natsbroker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/natsbroker"
	"lexigram.dev/events/internal/testserver"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// receive takes exactly n messages.
func receive(t *testing.T, s broker.Stream, n int) []broker.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []broker.Received
	for len(got) < n {
		more, err := s.Receive(ctx, n-len(got))
		if err != nil {
			t.Fatalf("receive: %v, after %d of %d", err, len(got), n)
		}
		got = append(got, more...)
	}
	return got
}

func consume(t *testing.T, b broker.Backend, g broker.Group, prefetch int) broker.Stream {
	t.Helper()
	s, err := b.Consume(t.Context(), g, prefetch)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func backlog(t *testing.T, b *broker.Broker, g broker.Group) int64 {
	t.Helper()
	left, err := b.Backlog(t.Context(), g)
	must(t, err)
	return left.Messages
}

func group(topics ...string) broker.Group { return broker.Group{Name: "g", Topics: topics} }

func TestAMessagePublishedAgainIsStoredOnceInEachTopic(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	b := broker.New(open(t, url, with(newStream(t, url))), broker.Options{})
	must(t, b.Declare(t.Context(), group("a", "a.b")))
	for range 3 {
		must(t, b.Publish(t.Context(), broker.Message{ID: "x y", Topic: "a", Key: "k"}, broker.Message{ID: "x y", Topic: "a.b"}))
	}
	if n := backlog(t, b, group("a", "a.b")); n != 2 {
		t.Errorf("%d messages are stored, want one in each topic", n)
	}
	o := with(newStream(t, url))
	o.Dedupe = -1
	all := broker.New(open(t, url, o), broker.Options{})
	must(t, all.Declare(t.Context(), group("a")))
	for range 3 {
		must(t, all.Publish(t.Context(), broker.Message{ID: " x", Topic: "a", Key: "k", Headers: map[string]string{"h": " v "}}))
	}
	for _, r := range receive(t, consume(t, all.Backend(), group("a"), 100), 3) {
		if m := r.Message; m.ID != " x" {
			t.Errorf("got %+v", m)
		}
	}
}

func TestSpacesAtTheEdgesSurvive(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	b := broker.New(open(t, url, with(newStream(t, url))), broker.Options{})
	must(t, b.Declare(t.Context(), group("a")))
	want := broker.Message{ID: " id ", Topic: "a", Key: " k ", Headers: map[string]string{"h": " v%20 ", "plain": "%20"}}
	must(t, b.Publish(t.Context(), want))
	m := receive(t, consume(t, b.Backend(), group("a"), 100), 1)[0].Message
	if m.ID != want.ID || m.Key != want.Key || m.Headers["h"] != want.Headers["h"] || m.Headers["plain"] != "%20" {
		t.Errorf("got %+q", m)
	}
}

func TestMessagesOfOtherProgramsAreRead(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	stream := newStream(t, url)
	b := open(t, url, with(stream))
	g := broker.Group{Name: "g", Topics: []string{"orders.eu"}}
	must(t, b.Declare(t.Context(), g))
	js := client(t, url)
	for _, m := range []*nats.Msg{
		{Header: nats.Header{"ce-id": {"ce"}, "ce-type": {"x"}, "content-type": {"text/plain"}}, Data: []byte("1")},
		{Header: nats.Header{"Nats-Msg-Id": {"own/id"}, "Trace-Id": {"7"}}, Data: []byte("2")},
		{Data: []byte("3")},
	} {
		m.Subject = stream + ".orders.eu.any"
		_, err := js.PublishMsg(t.Context(), m)
		must(t, err)
	}
	s := consume(t, b, g, 100)
	got := receive(t, s, 3)
	for i, want := range []broker.Message{
		{ID: "ce", Headers: map[string]string{"ce-id": "ce", "ce-type": "x", "content-type": "text/plain"}},
		{ID: "own/id", Headers: map[string]string{"trace-id": "7"}},
		{ID: stream + "/3"},
	} {
		m := got[i].Message
		if m.ID != want.ID || m.Topic != "orders.eu" || fmt.Sprint(m.Headers) != fmt.Sprint(want.Headers) || m.Time.IsZero() || string(m.Body) != fmt.Sprint(i+1) {
			t.Errorf("message %d: got %+v, want %+v", i, m, want)
		}
	}
}

func TestOurEventsAreCloudEventsInBinaryMode(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	stream := newStream(t, url)
	b := broker.New(open(t, url, with(stream)), broker.Options{})
	must(t, b.Publish(t.Context(), broker.Message{
		ID: "1", Topic: "a", Body: []byte("{}"), Headers: map[string]string{"ce-id": "1", "ce-subject": "käse 1", "content-type": "application/json"},
	}))
	s, err := client(t, url).Stream(t.Context(), stream)
	must(t, err)
	m, err := s.GetMsg(t.Context(), 1)
	must(t, err)
	for name, want := range map[string]string{"ce-id": "1", "ce-subject": "käse 1", "content-type": "application/json", "Nats-Msg-Id": "a/1"} {
		if got := m.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
}

func TestOversizeMessagesAreRefusedBeforeTheyAreSent(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	backend := open(t, url, with(newStream(t, url)))
	b := broker.New(backend, broker.Options{})
	limit := b.Features().MaxMessageBytes
	if limit > 1<<20 || limit < 1<<20-8<<10 {
		t.Errorf("the limit is %d bytes; the server's is 1 MiB", limit)
	}
	must(t, b.Publish(t.Context(), broker.Message{ID: "1", Topic: "a", Body: make([]byte, limit)}))
	if err := b.Publish(t.Context(), broker.Message{ID: "2", Topic: "a", Body: make([]byte, limit+1)}); !errors.Is(err, broker.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	// the port's limit knows nothing of the form: the client's own check stands behind it
	errs := backend.Publish(t.Context(), []broker.Message{{ID: "3", Topic: "a", Body: bytes.Repeat([]byte("x"), 1<<20)}})
	if len(errs) != 1 || !errors.Is(errs[0], broker.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", errs)
	}
}

func TestAServerThatIsDownIsWaitedForUntilTheContextEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = natsbroker.Open(ctx, "nats://ann:secret@"+l.Addr().String(), natsbroker.Options{})
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "unavailable") && !strings.Contains(err.Error(), "no servers") {
		t.Errorf("got %v", err)
	}
}

func TestAStreamThatIsNotToBeMadeIsMissed(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	o.NoCreate = true
	if _, err := natsbroker.Open(t.Context(), url, o); !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), o.Stream) {
		t.Errorf("got %v, want ErrRefused with the name", err)
	}
}

func TestAStreamThatIsRemovedRefusesMessages(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	b := broker.New(open(t, url, o), broker.Options{})
	must(t, b.Publish(t.Context(), broker.Message{ID: "1", Topic: "a"}))
	must(t, client(t, url).DeleteStream(t.Context(), o.Stream))
	if err := b.Publish(t.Context(), broker.Message{ID: "2", Topic: "a"}); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
}

func TestAFullStreamSaysSo(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	o.MaxBytes = 10_000
	b := broker.New(open(t, url, o), broker.Options{})
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = b.Publish(t.Context(), broker.Message{ID: fmt.Sprint(i), Topic: "a", Body: make([]byte, 1000)})
	}
	if !errors.Is(err, broker.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}

func TestAStreamOfOtherSubjectsIsRefused(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	_, err := client(t, url).CreateStream(t.Context(), jetstream.StreamConfig{Name: o.Stream, Subjects: []string{o.Stream + "x.>"}})
	must(t, err)
	if _, err := natsbroker.Open(t.Context(), url, o); !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), "subjects") {
		t.Errorf("got %v", err)
	}
}

func TestProgramsAgreeOnWhatTheStreamWasMadeWith(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	o.Partitions = 3
	first := broker.New(open(t, url, o), broker.Options{})
	must(t, first.Declare(t.Context(), group("a")))
	o.Partitions, o.Lease = 16, time.Minute
	second := broker.New(open(t, url, o), broker.Options{})
	for i := range 50 {
		must(t, second.Publish(t.Context(), broker.Message{ID: fmt.Sprint(i), Topic: "a", Key: fmt.Sprint(i)}))
	}
	if n := backlog(t, first, group("a")); n != 50 {
		t.Errorf("%d of 50 messages came to the partitions of the first", n)
	}
}

func TestAWorkQueueHasOneGroupWhichGetsWhatWasThereBefore(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	o.Retention = natsbroker.WorkQueue
	b := broker.New(open(t, url, o), broker.Options{})
	must(t, b.Publish(t.Context(), broker.Message{ID: "1", Topic: "a", Key: "k"}))
	must(t, b.Declare(t.Context(), group("a")))
	if n := backlog(t, b, group("a")); n != 1 {
		t.Errorf("%d messages wait for the group, want 1", n)
	}
	if err := b.Declare(t.Context(), broker.Group{Name: "other", Topics: []string{"a"}}); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("the second group: got %v, want ErrRefused", err)
	}
}

func TestARemovedGroupKeepsNothing(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	b := open(t, url, with(newStream(t, url)))
	port := broker.New(b, broker.Options{})
	must(t, port.Declare(t.Context(), group("a")))
	must(t, port.Publish(t.Context(), broker.Message{ID: "1", Topic: "a"}))
	must(t, b.RemoveGroup(t.Context(), group("a")))
	must(t, b.RemoveGroup(t.Context(), group("a")))
	if n := backlog(t, port, group("a")); n != 0 {
		t.Errorf("%d messages wait for a group that was removed", n)
	}
}

func TestTheBacklogTellsHowOldItIs(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	b := broker.New(open(t, url, with(newStream(t, url))), broker.Options{})
	must(t, b.Declare(t.Context(), group("a")))
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	must(t, b.Publish(t.Context(), broker.Message{ID: "1", Topic: "a", Key: "k", Time: at}, broker.Message{ID: "2", Topic: "a", Time: at.Add(time.Hour)}))
	if left, err := b.Backlog(t.Context(), group("a")); err != nil || !left.Oldest.Equal(at) {
		t.Errorf("got %+v (%v), want %v", left, err, at)
	}
}

func TestASingleServerThatMaySyncLaterIsWarnedOf(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	for name, c := range map[string]struct {
		set  func(o *natsbroker.Options)
		want string // "": no warning
	}{
		"unknown":     {func(*natsbroker.Options) {}, "sync_interval"},
		"known":       {func(o *natsbroker.Options) { o.SyncAlways = true }, ""},
		"memory":      {func(o *natsbroker.Options) { o.InMemory = true }, "memory of one server"},
		"maximal age": {func(o *natsbroker.Options) { o.SyncAlways, o.MaxAge = true, time.Hour }, "1h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			var warnings []string
			o := with(newStream(t, url))
			o.OnWarning = func(text string) { warnings = append(warnings, text) }
			c.set(&o)
			b := broker.New(open(t, url, o), broker.Options{})
			text := strings.Join(warnings, "\n")
			if (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
				t.Errorf("warned: %q, want %q", text, c.want)
			}
			d, err := b.Describe(t.Context())
			if err != nil || !strings.Contains(d.Durability, c.want) {
				t.Errorf("described: %+v (%v)", d, err)
			}
		})
	}
}

func TestAMemberThatLosesItsConnectionWhileItHandlesHasOthersGoOn(t *testing.T) {
	url := testserver.URL(t, defaultServer)
	o := with(newStream(t, url))
	var p proxies
	b := p.through(t, url, o)
	g := group("a")
	first := consume(t, b, g, 100)
	other := open(t, url, o)
	must(t, errors.Join(other.Publish(t.Context(), []broker.Message{{ID: "1", Topic: "a", Key: "k"}, {ID: "2", Topic: "a", Key: "k"}})...))
	held := receive(t, first, 2)
	if !held[0].Owned(held[0].Token) {
		t.Error("a message just received does not belong to the stream")
	}
	p.kill(b)
	second := consume(t, other, g, 100)
	got := receive(t, second, 2)
	if got[0].Message.ID != "1" || got[1].Message.ID != "2" || got[0].Deliveries != 2 {
		t.Errorf("got %s, %s, delivery %d", got[0].Message.ID, got[1].Message.ID, got[0].Deliveries)
	}
	if held[0].Owned(held[0].Token) {
		t.Error("the message still belongs to the stream whose lease is over")
	}
	if err := first.Ack(t.Context(), held); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("ack by the dead: got %v, want ErrUnavailable", err)
	}
}
