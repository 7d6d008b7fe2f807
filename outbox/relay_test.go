package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/subscription"
)

// desk is a log with its dead letters and a relay's surroundings.
type desk struct {
	*testing.T
	backend *faulty
	store   *store.Store
	letters *deadletter.Letters
	wire    *wire
}

// faulty is a backend that fails to write records while told so.
type faulty struct {
	store.Backend
	fail atomic.Pointer[func(ops []store.Op) error]
}

func (f *faulty) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	if fail := f.fail.Load(); fail != nil {
		if err := (*fail)(ops); err != nil {
			return nil, err
		}
	}
	return f.Backend.Apply(ctx, ops)
}

func newDesk(t *testing.T) desk {
	b := &faulty{Backend: memstore.New(memstore.Options{})}
	s := store.New(b, store.Options{Limits: store.Limits{MaxEventBytes: 4 << 20}})
	return desk{T: t, backend: b, store: s, letters: deadletter.New(s, deadletter.Options{}), wire: newWire()}
}

func (d desk) append(stream event.StreamID, types ...string) store.Result {
	d.Helper()
	events := make([]event.Pending, len(types))
	for i, name := range types {
		events[i] = event.Pending{Type: name, Data: fmt.Appendf(nil, `{"type":%q}`, name)}
	}
	r, err := d.store.Append(d.Context(), stream, store.Any(), events...)
	must(d.T, err)
	return r
}

func (d desk) relay(change ...func(o *outbox.Options)) *outbox.Relay {
	d.Helper()
	o := outbox.Options{
		PollInterval: 10 * time.Millisecond, Lease: time.Second, Retry: broker.Retry{Attempts: 3, Initial: time.Millisecond, Max: 20 * time.Millisecond},
		OnError: func(err error) { d.Log(err) },
	}
	for _, c := range change {
		c(&o)
	}
	r, err := outbox.NewRelay(d.store, "out", broker.New(d.wire, broker.Options{}), d.letters, o)
	must(d.T, err)
	return r
}

func (d desk) waitFor(r *outbox.Relay, p event.Position) {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	must(d.T, r.WaitFor(ctx, p))
}

func TestTheLogIsPublishedAsCloudEventsInOrder(t *testing.T) {
	d := newDesk(t)
	for i := range 300 {
		d.append(event.StreamID(fmt.Sprintf("order-%d", i%5)), "order.placed", "order.paid")
	}
	last := d.append("in voice-1", "invoice.sent")
	r := d.relay(func(o *outbox.Options) { o.Partitions, o.BatchEvents = 3, 50 })
	start(t, r.Run)
	d.waitFor(r, last.Last)
	sent := d.wire.sent()
	if len(sent) != 601 {
		t.Fatalf("%d messages were sent, want each event once", len(sent))
	}
	next := map[string]int{}
	for _, m := range sent {
		next[m.Key]++
		if m.Headers["ce-streamversion"] != fmt.Sprint(next[m.Key]) || m.Headers["ce-id"] != m.ID || m.Headers["ce-source"] != "/out" {
			t.Fatalf("%s: message %d is %+v", m.Key, next[m.Key], m)
		}
		if want := map[bool]string{true: "events.order", false: "events.in_voice"}[strings.HasPrefix(m.Key, "order-")]; m.Topic != want {
			t.Fatalf("topic %s, want %s", m.Topic, want)
		}
	}
	await(t, "the checkpoints of all partitions are there", func() bool {
		s, err := r.Status(t.Context())
		return err == nil && s.Feed.Lag == 0
	})
	s, err := r.Status(t.Context())
	if err != nil || s.Feed.Name != "outbox-out" || s.Feed.Lag != 0 || s.Broker != nil || r.Health(t.Context()) != nil {
		t.Errorf("status %+v (%v), health %v", s, err, r.Health(t.Context()))
	}
}

func TestEventsAreChosenMappedAndGivenTopics(t *testing.T) {
	d := newDesk(t)
	d.append("order-1", "order.placed", "order.noted", "order.paid")
	last := d.append("cart-1", "order.placed")
	r := d.relay(func(o *outbox.Options) {
		o.Filter = store.Filter{Categories: []string{"order"}, Query: store.Query{{Types: []string{"order.placed", "order.paid"}}}}
		o.Topic = func(e event.Recorded) string { return "public." + strings.ReplaceAll(e.Type, ".", "-") }
		o.Map = func(e event.Recorded) ([]broker.Message, error) {
			if e.Type == "order.paid" {
				return []broker.Message{{Body: []byte("one")}, {Body: []byte("two"), Key: "k", Topic: "t", ID: "own"}, {Body: []byte("three")}}, nil
			}
			return nil, nil
		}
	})
	start(t, r.Run)
	d.waitFor(r, last.Last)
	sent := d.wire.sent()
	if len(sent) != 3 {
		t.Fatalf("sent %+v", sent)
	}
	id := sent[0].ID
	for i, want := range []broker.Message{
		{ID: id, Topic: "public.order-paid", Key: "order-1", Body: []byte("one")},
		{ID: "own", Topic: "t", Key: "k", Body: []byte("two")},
		{ID: id + ".3", Topic: "public.order-paid", Key: "order-1", Body: []byte("three")},
	} {
		if m := sent[i]; m.ID != want.ID || m.Topic != want.Topic || m.Key != want.Key || !bytes.Equal(m.Body, want.Body) {
			t.Errorf("message %d is %+v", i+1, m)
		}
	}
	if _, err := event.ParseID(id); err != nil {
		t.Error(err)
	}
}

func TestAPoisonEventBecomesADeadLetterAndIsRetried(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	var fixed atomic.Bool
	d.wire.before = func(m []broker.Message) []error {
		failed := make([]error, len(m))
		for i := range m {
			switch kind := m[i].Headers["ce-type"]; {
			case kind == "refused" && !fixed.Load():
				failed[i] = broker.ErrRefused
			case kind == "odd":
				failed[i] = errors.New("no idea")
			}
		}
		return failed
	}
	d.append("order-1", "fine", "broken", "panics", "refused", "odd", "fine")
	d.append("order-2", "fine")
	_, err := d.store.Append(ctx, "order-3", store.Any(), event.Pending{Type: "large", Data: make([]byte, 3<<20)})
	must(t, err)
	last := d.append("order-1", "fine")
	r := d.relay(func(o *outbox.Options) {
		o.Map = func(e event.Recorded) ([]broker.Message, error) {
			switch {
			case e.Type == "broken" && string(e.Data) != "mended":
				return nil, errors.New("cannot map")
			case e.Type == "panics":
				panic("oh")
			}
			m, err := outbox.CloudEvent(e, "/x", "t")
			return []broker.Message{m}, err
		}
	})
	start(t, r.Run)
	d.waitFor(r, last.Last)
	got := map[string]deadletter.Letter{}
	for _, letter := range letters(t, d.letters, deadletter.Filter{Source: "outbox/out"}) {
		got[letter.Event.Type] = letter
	}
	if len(got) != 5 || got["odd"].Attempts != 3 || got["refused"].Attempts != 1 || len(got["large"].Event.Data) != 3<<20 || !strings.Contains(got["panics"].Error, "oh") || !strings.Contains(got["broken"].Error, "cannot map") {
		t.Fatalf("letters %+v", got)
	}
	fine := map[string]int{}
	for _, m := range d.wire.sent() {
		if m.Headers["ce-type"] == "fine" {
			fine[m.Key+"/"+m.Headers["ce-streamversion"]]++
		}
	}
	if len(fine) != 4 {
		t.Errorf("the others were sent: %v", fine)
	}
	before := len(d.wire.sent())
	fixed.Store(true)
	must(t, d.letters.Retry(ctx, got["refused"].ID))
	must(t, d.letters.Retry(ctx, got["odd"].ID))
	must(t, d.letters.Edit(ctx, got["broken"].ID, []byte("mended")))
	await(t, "two are resolved and one is put back", func() bool {
		left := letters(t, d.letters, deadletter.Filter{State: deadletter.StateParked})
		return len(left) == 3 && len(letters(t, d.letters, deadletter.Filter{})) == 3
	})
	var types []string
	for _, m := range d.wire.sent()[before:] {
		types = append(types, m.Headers["ce-type"]+" "+string(m.Body))
	}
	slices.Sort(types)
	if want := []string{"broken mended", `refused {"type":"refused"}`}; !slices.Equal(types, want) {
		t.Errorf("retries have sent %q, want %q", types, want)
	}
	if odd, err := d.letters.Get(ctx, got["odd"].ID); err != nil || odd.Attempts != 4 || odd.Error != "no idea" {
		t.Errorf("a failed retry left %+v (%v)", odd, err)
	}
}

func TestTheRelayWaitsOutAnOutageAndStopsDuringOne(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	var down atomic.Bool
	down.Store(true)
	d.wire.before = func(m []broker.Message) []error {
		if down.Load() {
			return all(broker.ErrUnavailable, m)
		}
		return nil
	}
	last := d.append("order-1", "a", "b")
	r := d.relay()
	stop := start(t, r.Run)
	await(t, "health tells", func() bool { return errors.Is(r.Health(ctx), broker.ErrUnavailable) })
	if s, err := r.Status(ctx); err != nil || s.Broker == nil || s.Broker.Since.IsZero() || s.Feed.Lag != 2 {
		t.Errorf("status %+v (%v)", s, err)
	}
	stop() // must not take the grace of 10 s, nor park anything
	start(t, r.Run)
	await(t, "health tells again", func() bool { return errors.Is(r.Health(ctx), broker.ErrUnavailable) })
	down.Store(false)
	d.waitFor(r, last.Last)
	await(t, "health is well", func() bool { return r.Health(ctx) == nil })
	if got := letters(t, d.letters, deadletter.Filter{}); len(got) > 0 || len(d.wire.sent()) != 2 {
		t.Errorf("letters %+v, sent %q", got, d.wire.ids())
	}
}

func TestAPartialOutageKeepsTheOrderOfAStream(t *testing.T) {
	d := newDesk(t)
	var mu sync.Mutex
	calls := 0
	d.wire.before = func(m []broker.Message) []error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls > 3 {
			return nil
		}
		failed := make([]error, len(m))
		for i := range m {
			if m[i].Key == "order-1" && i%2 == 0 {
				failed[i] = broker.ErrUnavailable
			}
		}
		return failed
	}
	d.append("order-1", "a", "b", "c")
	last := d.append("order-2", "a")
	r := d.relay()
	start(t, r.Run)
	d.waitFor(r, last.Last)
	var versions []string
	others := 0
	for _, m := range d.wire.sent() {
		if m.Key == "order-1" {
			versions = append(versions, m.Headers["ce-streamversion"])
		} else {
			others++
		}
	}
	if n := len(versions); !slices.Equal(versions[n-3:], []string{"1", "2", "3"}) || others != 1 {
		t.Errorf("order-1 was sent as %q, order-2 %d times", versions, others)
	}
}

// TestARelayThatDiesBeforeTheCheckpointPublishesAgain lets a relay publish while no record can be written, as if it died
// right after the broker's confirmation.
func TestARelayThatDiesBeforeTheCheckpointPublishesAgain(t *testing.T) {
	d := newDesk(t)
	last := d.append("order-1", "a", "b")
	var dead atomic.Bool
	d.wire.after = func([]broker.Message) { dead.Store(true) }
	refuse := func([]store.Op) error {
		if dead.Load() {
			return store.ErrUnavailable
		}
		return nil
	}
	d.backend.fail.Store(&refuse)
	stop := start(t, d.relay(func(o *outbox.Options) { o.Owner = "first" }).Run)
	d.wire.waitFor(t, 2)
	stop()
	d.backend.fail.Store(nil)
	d.wire.after = nil
	first := d.wire.ids()
	r := d.relay(func(o *outbox.Options) { o.Owner = "second" })
	start(t, r.Run)
	d.waitFor(r, last.Last)
	again := d.wire.ids()[len(first):]
	if len(again) != 2 || !slices.Equal(again, first[:2]) {
		t.Errorf("sent %q, then %q; want the same ids again", first, again)
	}
	if got := letters(t, d.letters, deadletter.Filter{}); len(got) > 0 {
		t.Errorf("letters %+v", got)
	}
}

func TestRefusesARelayThatCannotWork(t *testing.T) {
	_, err := outbox.NewRelay(nil, "a/b", nil, nil, outbox.Options{PublishTimeout: -1, Retry: broker.Retry{Attempts: -1}, EventSource: "%zz"})
	for _, want := range []string{`"/"`, "publish timeout", "attempts", "event source", "dead letters are needed"} {
		if err == nil || !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
	d := newDesk(t)
	if _, err := outbox.NewRelay(d.store, "x", broker.New(d.wire, broker.Options{}), d.letters, outbox.Options{Partitions: -1}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("negative partitions: %v", err)
	}
	r := d.relay()
	start(t, r.Run)
	d.waitFor(r, d.append("order-1", "a").Last) // it runs
	if err := r.Run(t.Context()); !errors.Is(err, subscription.ErrRunning) {
		t.Errorf("a second run: %v", err)
	}
}
