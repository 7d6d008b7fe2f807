package brokertest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func deliveryClauses() []clause {
	return []clause{
		{rule: "delivers a message as it was published", prove: deliversVerbatim},
		{rule: "neither changes nor keeps what it is given", prove: keepsNothing},
		{rule: "gives each message to one member of each group", prove: oneMemberOfEachGroup},
		{rule: "keeps messages for a declared group that has no member", prove: keepsForDeclared},
		{rule: "begins with what is published after a group was declared", prove: beginsAtDeclaration},
		{rule: "begins with the oldest messages when asked to", needs: replay, prove: beginsAtStart},
		{rule: "gives a group all of its topics and no others", prove: severalTopics},
		{rule: "accepts messages to a topic that nobody has asked for", prove: nobodyListens},
		{rule: "counts the backlog of a group where it can count at all", prove: countsBacklog},
	}
}

func deliversVerbatim(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	at := time.Date(2024, 2, 29, 12, 30, 15, 123_000_000, time.UTC)
	want := []broker.Message{
		{ID: "plain", Topic: s.name("a"), Time: at},
		{ID: "ünïcode/7 x", Topic: s.name("a"), Key: "käse:1", Body: all, Headers: map[string]string{"a.b-c_9": "wörld \"x\" = y; z, 100%", "empty": ""}, Time: at},
		{ID: "large", Topic: s.name("a"), Key: "k", Body: bytes.Repeat([]byte("x"), min(512<<10, s.Limits().MaxMessageBytes/2)), Time: at},
	}
	s.mustPublish(t, want...)
	var got seen
	s.join(t, s.Broker, g, got.handle, broker.ConsumerOptions{})
	got.waitFor(t, len(want))
	for _, d := range got.all() {
		w := want[slices.IndexFunc(want, func(m broker.Message) bool { return m.ID == d.ID })]
		if d.Topic != w.Topic || d.Key != w.Key || !bytes.Equal(d.Body, w.Body) || !maps.Equal(d.Headers, w.Headers) || !d.Time.Equal(w.Time) {
			t.Errorf("message %s was changed on its way:\n got %.300q\nwant %.300q", w.ID, fmt.Sprint(d.Message), fmt.Sprint(w))
		}
		if d.Attempt != 1 || d.Deliveries > 1 {
			t.Errorf("message %s: attempt %d, delivery %d; want the first", d.ID, d.Attempt, d.Deliveries)
		}
	}
}

func keepsNothing(t *testing.T, s *subject) {
	one, two := s.group("one", "a"), s.group("two", "a")
	s.mustDeclare(t, one, two)
	m := s.msg("a", "k", 1)
	s.mustPublish(t, m)
	copy(m.Body, "changed")
	m.Headers["n"] = "changed"
	first := s.receive(t, s.stream(t, s.Broker, one, 10), 1)[0].Message
	copy(first.Body, "changed")
	first.Headers["n"] = "changed"
	second := s.receive(t, s.stream(t, s.Broker, two, 10), 1)[0].Message
	if string(second.Body) != "1" || second.Headers["n"] != "1" {
		t.Errorf("got body %q, header %q: somebody else's change shows", second.Body, second.Headers["n"])
	}
}

func oneMemberOfEachGroup(t *testing.T, s *subject) {
	const groups, members, messages = 2, 3, 300
	var got [groups]seen
	for i := range groups {
		g := s.group(fmt.Sprintf("g%d", i), "a")
		s.mustDeclare(t, g)
		for range members {
			s.join(t, s.another(t), g, got[i].handle, broker.ConsumerOptions{})
		}
	}
	var want []string
	for i := range messages {
		m := s.msg("a", fmt.Sprintf("k%d", i%30), i)
		want = append(want, m.ID)
		s.mustPublish(t, m)
	}
	for i := range groups {
		got[i].waitFor(t, messages)
		if !sameSet(got[i].ids(), want) {
			t.Errorf("group %d did not get each message", i)
		}
		if extra := len(got[i].all()) - messages; extra > 0 {
			t.Errorf("group %d got %d messages more than once", i, extra)
		}
	}
}

func keepsForDeclared(t *testing.T, s *subject) {
	g := s.group("g", "a")
	s.mustDeclare(t, g, g)
	want := s.msgs("a", "k", 10)
	s.mustPublish(t, want...)
	var got seen
	s.join(t, s.another(t), g, got.handle, broker.ConsumerOptions{})
	got.waitFor(t, len(want))
	if !slices.Equal(got.ids(), idsOf(want)) {
		t.Errorf("got %v, want %v", got.ids(), idsOf(want))
	}
}

func beginsAtDeclaration(t *testing.T, s *subject) {
	s.mustDeclare(t, s.group("earlier", "a"))
	s.mustPublish(t, s.msgs("a", "k", 3)...)
	g := s.group("later", "a")
	s.mustDeclare(t, g)
	after := s.msg("a", "k", 100)
	s.mustPublish(t, after)
	if got := s.receive(t, s.stream(t, s.Broker, g, 10), 1)[0].Message; got.ID != after.ID {
		t.Errorf("got %s, which was published before the group was declared", got.ID)
	}
}

func beginsAtStart(t *testing.T, s *subject) {
	s.mustDeclare(t, s.group("earlier", "a"))
	want := s.msgs("a", "k", 3)
	s.mustPublish(t, want...)
	g := s.group("later", "a")
	g.FromStart = true
	stream := s.stream(t, s.Broker, g, 10)
	for i, r := range s.receive(t, stream, len(want)) {
		if r.Message.ID != want[i].ID {
			t.Errorf("message %d is %s, want %s", i, r.Message.ID, want[i].ID)
		}
	}
}

func severalTopics(t *testing.T, s *subject) {
	g := s.group("g", "a", "b")
	s.mustDeclare(t, g, s.group("other", "c"))
	want := append(s.msgs("a", "k", 20), s.msgs("b", "k", 20)...)
	s.mustPublish(t, append(s.msgs("c", "k", 5), want...)...)
	var got seen
	s.join(t, s.Broker, g, got.handle, broker.ConsumerOptions{})
	got.waitFor(t, len(want))
	if !sameSet(got.ids(), idsOf(want)) {
		t.Errorf("got %v", got.ids())
	}
}

func nobodyListens(t *testing.T, s *subject) { s.mustPublish(t, s.msgs("nobody", "k", 10)...) }

func countsBacklog(t *testing.T, s *subject) {
	if _, ok := s.Backend().(broker.Gauge); !ok {
		t.Skip("left out: the broker is no Gauge")
	}
	g := s.group("g", "a")
	s.mustDeclare(t, g)
	check := func(want int64) {
		t.Helper()
		if b, err := s.Backlog(s.ctx, g); err != nil || b.Messages != want {
			t.Errorf("backlog is %+v (%v), want %d messages", b, err, want)
		}
	}
	check(0)
	s.mustPublish(t, s.msgs("a", "", 5)...)
	check(5)
	stream := s.stream(t, s.Broker, g, 10)
	got := s.receive(t, stream, 3)
	check(5)
	if err := stream.Ack(s.ctx, got); err != nil {
		t.Fatal(err)
	}
	check(2)
}
