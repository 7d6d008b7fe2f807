package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/store"
)

func TestWhatIsCommittedIsPublishedAndNothingElse(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		ctx := t.Context()
		want := broker.Message{
			ID: "m-1", Topic: "mail.out", Key: "ada", Headers: map[string]string{"content-type": "text/plain", "empty": ""}, Body: []byte{0, 0xff, '"'},
			Time: time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC),
		}
		b.write(t, want, broker.Message{Topic: "mail"})
		tx, err := b.db.BeginTx(ctx, nil)
		must(t, err)
		must(t, b.table.Write(ctx, tx, message("rolled-back", "")))
		must(t, tx.Rollback())
		many := make([]broker.Message, 1203)
		for i := range many {
			many[i] = message(fmt.Sprintf("many-%d", i), "many")
		}
		b.write(t, many...)

		w := newWire()
		start(t, b.relay(t, w, newLetters()).Run)
		sent := w.waitFor(t, 2+len(many))
		if !reflect.DeepEqual(sent[0], want) {
			t.Errorf("sent %+v\nwant %+v", sent[0], want)
		}
		if len(sent[1].ID) != 36 || sent[1].Time.IsZero() {
			t.Errorf("a message without an id was sent as %+v", sent[1])
		}
		for i := range many {
			if sent[2+i].ID != many[i].ID {
				t.Fatalf("message %d is %s", i, sent[2+i].ID)
			}
		}
		await(t, "all are marked", func() bool { return b.count(t, "sent_at is null") == 0 })
		if slices.Contains(w.ids(), "rolled-back") {
			t.Error("a message of a transaction that was rolled back was sent")
		}
	})
}

func TestWakeSparesThePoll(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		w := newWire()
		r := b.relay(t, w, newLetters(), func(o *outbox.TableOptions) { o.PollInterval = time.Hour })
		start(t, r.Run)
		for i := range 3 {
			b.write(t, message(fmt.Sprint(i), ""))
			r.Wake()
			w.waitFor(t, i+1)
		}
	})
}

func TestARelayThatDiesBetweenConfirmationAndMarkLosesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		b.write(t, message("1", "k"), message("2", "k"))
		w := newWire()
		w.after = func([]broker.Message) { panic("killed") }
		killed := b.relay(t, w, newLetters(), func(o *outbox.TableOptions) {
			o.Now = func() time.Time { return time.Now().Add(-time.Hour) } // so that its lease on SQLite is over
		})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it was not killed")
				}
			}()
			_ = killed.Run(t.Context())
		}()
		if n := b.count(t, "sent_at is null"); n != 2 {
			t.Errorf("%d messages wait, want 2", n)
		}
		w.after = nil
		start(t, b.relay(t, w, newLetters()).Run)
		w.waitFor(t, 4)
		if got := w.ids(); !slices.Equal(got, []string{"1", "2", "1", "2"}) {
			t.Errorf("sent %q, want each twice with the same ids", got)
		}
	})
}

func TestAnOutageIsWaitedOutAndReported(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		ctx := t.Context()
		w, l := newWire(), newLetters()
		var mu sync.Mutex
		down := fmt.Errorf("dial: %w", broker.ErrUnavailable)
		set := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			down = err
		}
		w.before = func(m []broker.Message) []error {
			mu.Lock()
			defer mu.Unlock()
			if down == nil {
				return nil
			}
			return all(down, m)
		}
		r := b.relay(t, w, l)
		stop := start(t, r.Run)
		b.write(t, message("1", "k"), message("2", "k"), message("3", ""))
		await(t, "health tells of the outage", func() bool { return errors.Is(r.Health(ctx), broker.ErrUnavailable) })
		s, err := r.Status(ctx)
		if err != nil || s.Backlog != 3 || s.Age <= 0 || s.Broker == nil || !strings.Contains(s.Broker.Error, "dial") || s.Broker.Since.IsZero() || s.Database != nil {
			t.Errorf("status %+v (%v)", s, err)
		}
		stop() // also during an outage
		set(broker.ErrFull)
		start(t, r.Run)
		await(t, "health tells that the broker is full", func() bool { return errors.Is(r.Health(ctx), broker.ErrFull) })
		set(nil)
		w.waitFor(t, 3)
		await(t, "health is well again", func() bool { return r.Health(ctx) == nil })
		if got := letters(t, l, deadletter.Filter{}); len(got) > 0 || b.count(t, "attempts > 0") > 0 {
			t.Errorf("an outage counted as a failure of messages: %+v", got)
		}
	})
}

func TestABadMessageBecomesADeadLetterAndTheOthersGoOn(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		ctx := t.Context()
		w, l := newWire(), newLetters()
		var mu sync.Mutex
		tries := map[string]int{}
		fixed := false
		w.before = func(m []broker.Message) []error {
			mu.Lock()
			defer mu.Unlock()
			failed := make([]error, len(m))
			for i := range m {
				tries[m[i].ID]++
				switch {
				case m[i].ID == "refused" && !fixed:
					failed[i] = broker.ErrRefused
				case m[i].ID == "odd":
					failed[i] = errors.New("no idea")
				}
			}
			return failed
		}
		large := message("large", "a")
		large.Body = make([]byte, 3<<20)
		headers := message("headers", "b")
		headers.Headers = map[string]string{"Not A Name": "x"}
		b.write(t, large, message("a2", "a"), message("refused", "b"), headers, message("b2", "b"), message("odd", "c"), message("c2", "c"), message("d", ""))
		r := b.relay(t, w, l, func(o *outbox.TableOptions) { o.BatchSize = 4 })
		start(t, r.Run)
		w.waitFor(t, 4)
		await(t, "four letters", func() bool { return len(letters(t, l, deadletter.Filter{})) == 4 })
		await(t, "none waits", func() bool { return b.count(t, "sent_at is null") == 0 })
		// c2 was confirmed together with the first failure of odd, which is before it in its key; so it is sent again behind that.
		if got := w.ids(); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"a2", "b2", "c2", "c2", "d"}) {
			t.Errorf("sent %q", got)
		}
		mu.Lock()
		if tries["refused"] != 1 || tries["odd"] != 3 || tries["large"] != 0 {
			t.Errorf("tried %v", tries)
		}
		fixed = true
		mu.Unlock()
		for _, letter := range letters(t, l, deadletter.Filter{}) {
			if letter.Source != "outbox/main" || letter.State != deadletter.StateParked || letter.Error == "" || letter.Message.Topic != "mail" {
				t.Errorf("letter %+v", letter)
			}
			if letter.Message.ID == "large" && len(letter.Message.Body) != 3<<20 || letter.Message.ID == "odd" && letter.Attempts != 3 {
				t.Errorf("letter of %s: %d bytes, %d attempts", letter.Message.ID, len(letter.Message.Body), letter.Attempts)
			}
		}

		must(t, l.Retry(ctx, "outbox/main/refused"))
		must(t, l.Edit(ctx, "outbox/main/large", []byte("small")))
		must(t, l.Retry(ctx, "outbox/main/odd"))
		sent := w.waitFor(t, 7)
		await(t, "one letter", func() bool { return len(letters(t, l, deadletter.Filter{State: deadletter.StateRequested})) == 0 })
		for _, m := range sent[5:] {
			if m.ID != "refused" && (m.ID != "large" || string(m.Body) != "small") {
				t.Errorf("a retry has sent %s, %d bytes", m.ID, len(m.Body))
			}
		}
		odd, err := l.Get(ctx, "outbox/main/odd")
		if err != nil || odd.Attempts != 4 || odd.State != deadletter.StateParked {
			t.Errorf("a failed retry left %+v (%v)", odd, err)
		}
		if len(letters(t, l, deadletter.Filter{})) != 2 {
			t.Errorf("letters %+v", letters(t, l, deadletter.Filter{}))
		}
	})
}

func TestAFailedMessageHoldsUpItsKeyOnly(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		w := newWire()
		var mu sync.Mutex
		failures := 2
		w.before = func(m []broker.Message) []error {
			mu.Lock()
			defer mu.Unlock()
			failed := make([]error, len(m))
			for i := range m {
				if m[i].ID == "a0" && failures > 0 {
					failures--
					failed[i] = errors.New("hiccup")
				}
			}
			return failed
		}
		var messages []broker.Message
		for i := range 20 {
			messages = append(messages, message(fmt.Sprintf("a%d", i), "a"), message(fmt.Sprintf("b%d", i), "b"))
		}
		b.write(t, messages...)
		start(t, b.relay(t, w, newLetters(), func(o *outbox.TableOptions) { o.BatchSize = 3 }).Run)
		await(t, "all are marked", func() bool { return b.count(t, "sent_at is null") == 0 })
		last := map[string][]string{}
		for _, m := range w.sent() {
			if !slices.Contains(last[m.Key], m.ID) { // a1 was confirmed together with the failure of a0, and is sent again behind it
				last[m.Key] = append(last[m.Key], m.ID)
			}
		}
		if got := last["b"]; len(got) != 20 {
			t.Errorf("b: %q", got)
		}
		if ids := w.ids(); lastIndex(ids, "a0") > lastIndex(ids, "a1") || lastIndex(ids, "a1") > lastIndex(ids, "a2") {
			t.Errorf("a: out of order: %q", ids)
		}
	})
}

func lastIndex(list []string, s string) int {
	for i, v := range slices.Backward(list) {
		if v == s {
			return i
		}
	}
	return -1
}

// TestRelaysThatRaceKeepTheOrderOfEachKey lets several relays share a table that is being written to.
func TestRelaysThatRaceKeepTheOrderOfEachKey(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		const keys, each, relays = 7, 60, 3
		w := newWire()
		l := newLetters()
		for range relays {
			start(t, b.relay(t, w, l, func(o *outbox.TableOptions) { o.BatchSize = 5; o.PollInterval = time.Millisecond }).Run)
		}
		var writers sync.WaitGroup
		for k := range keys {
			writers.Go(func() {
				for i := range each {
					b.write(t, message(fmt.Sprintf("%d/%d", k, i), fmt.Sprint(k)), message(fmt.Sprintf("%d/%d", k, i)+"/free", ""))
				}
			})
		}
		writers.Wait()
		await(t, "all are marked", func() bool { return b.count(t, "sent_at is null") == 0 })
		sent := w.sent()
		if len(sent) != 2*keys*each {
			t.Errorf("%d messages were sent, want each once: %d", len(sent), 2*keys*each)
		}
		next := map[string]int{}
		for _, m := range sent {
			if m.Key == "" {
				continue
			}
			if want := fmt.Sprintf("%s/%d", m.Key, next[m.Key]); m.ID != want {
				t.Fatalf("key %s: sent %s, want %s", m.Key, m.ID, want)
			}
			next[m.Key]++
		}
	})
}

// TestAPausedRelayKeepsItsKeys stops a relay between the broker's confirmation of a message and its mark, and in the
// middle of a publication; another relay must not touch the keys it holds, and go on with all others.
func TestAPausedRelayKeepsItsKeys(t *testing.T) {
	b := postgres(t)
	w, l := newWire(), newLetters()
	b.write(t, message("a0", "a"))
	paused, resume := make(chan struct{}), make(chan struct{})
	first := &wire{Broker: w.Broker, changed: make(chan struct{}, 1)}
	first.before = func(m []broker.Message) []error { return w.Publish(context.Background(), m) }
	first.after = sync2(func() { close(paused); <-resume })
	stop := start(t, b.relay(t, first, l, func(o *outbox.TableOptions) { o.PollInterval = time.Hour }).Run)
	<-paused
	b.write(t, message("a1", "a"), message("b0", "b"), message("free", ""), message("b1", "b"))
	start(t, b.relay(t, w, l).Run)
	w.waitFor(t, 4)
	await(t, "the others are marked", func() bool { return b.count(t, "sent_at is null") == 2 })
	if got := w.ids(); !slices.Equal(got, []string{"a0", "b0", "free", "b1"}) {
		t.Errorf("while a relay holds key a, sent %q", got)
	}
	close(resume)
	await(t, "all are marked", func() bool { return b.count(t, "sent_at is null") == 0 })
	stop()
	if got := w.ids(); !slices.Equal(got[4:], []string{"a1"}) {
		t.Errorf("then sent %q", got[4:])
	}
}

// sync2 makes a hook that does something the first time.
func sync2(f func()) func([]broker.Message) {
	once := sync.OnceFunc(f)
	return func([]broker.Message) { once() }
}

func TestOneRelayWorksOnSQLiteAndAnotherTakesOver(t *testing.T) {
	b := sqlite(t)
	w, l := newWire(), newLetters()
	b.write(t, message("1", "k"))
	paused, resume := make(chan struct{}), make(chan struct{})
	first := &wire{Broker: w.Broker, changed: make(chan struct{}, 1)}
	first.before = func(m []broker.Message) []error { return w.Publish(context.Background(), m) }
	first.after = sync2(func() { close(paused); <-resume })
	var mu sync.Mutex
	var offset time.Duration
	clock := func(o *outbox.TableOptions) {
		o.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(offset)
		}
	}
	stop := start(t, b.relay(t, first, l, clock).Run)
	<-paused
	looked := make(chan struct{}, 100)
	start(t, b.relay(t, w, l, func(o *outbox.TableOptions) {
		clock(o)
		now := o.Now
		o.Now = func() time.Time {
			select {
			case looked <- struct{}{}:
			default:
			}
			return now()
		}
	}).Run)
	for range 5 {
		<-looked
	}
	if got := w.ids(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("two relays have sent %q", got)
	}
	mu.Lock()
	offset = time.Hour // the first one's lease is over
	mu.Unlock()
	w.waitFor(t, 2)
	await(t, "the second one marks", func() bool { return b.count(t, "sent_at is null") == 0 })
	close(resume) // the first one wakes up and must not write; it stands by
	b.write(t, message("2", "k"))
	w.waitFor(t, 3)
	if got := w.ids(); !slices.Equal(got, []string{"1", "1", "2"}) {
		t.Errorf("sent %q", got)
	}
	stop()
}

func TestMessagesThatWereSentLongAgoAreRemoved(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		var messages []broker.Message
		for i := range 1100 {
			messages = append(messages, message(fmt.Sprint(i), ""))
		}
		b.write(t, messages...)
		w := newWire()
		stop := start(t, b.relay(t, w, newLetters(), func(o *outbox.TableOptions) { o.BatchSize = 1000 }).Run)
		await(t, "all are marked", func() bool { return b.count(t, "sent_at is null") == 0 })
		stop()
		if n := b.count(t, "sent_at is not null"); n != 1100 {
			t.Errorf("%d are kept, want all", n)
		}
		start(t, b.relay(t, w, newLetters(), func(o *outbox.TableOptions) {
			o.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
		}).Run)
		await(t, "all are removed", func() bool { return b.count(t, "1 = 1") == 0 })
	})
}

func TestHealthTellsOfAnOldBacklog(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		m := message("1", "")
		m.Time = time.Now().Add(-time.Hour)
		b.write(t, m)
		r := b.relay(t, newWire(), newLetters())
		if err := r.Health(t.Context()); !errors.Is(err, outbox.ErrBacklog) || !strings.Contains(err.Error(), "1h0m0s") {
			t.Errorf("health: %v", err)
		}
	})
}

func TestTheStoreOfDeadLettersMayFail(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		closed := newLetters()
		w := newWire()
		bad := message("bad", "k")
		bad.Topic = "no topic!"
		b.write(t, bad, message("good", "k"), message("other", "o"))
		s := failing{err: store.ErrUnavailable}
		l := deadletter.New(store.New(&s, store.Options{}), deadletter.Options{})
		r := b.relay(t, w, l)
		stop := start(t, r.Run)
		await(t, "health tells", func() bool { return errors.Is(r.Health(t.Context()), store.ErrUnavailable) })
		stop()
		if n := b.count(t, "message_id = 'bad' and sent_at is null"); n != 1 {
			t.Errorf("the message that could not be kept is gone")
		}
		start(t, b.relay(t, w, closed).Run)
		await(t, "it is kept", func() bool { return len(letters(t, closed, deadletter.Filter{})) == 1 })
	})
}

// failing is a backend that does not answer.
type failing struct {
	store.Backend
	err error
}

func (f *failing) Get(context.Context, string, string) (store.Record, error) {
	return store.Record{}, f.err
}

func TestRefusesWhatCannotWork(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		ctx := t.Context()
		tx, err := b.db.BeginTx(ctx, nil)
		must(t, err)
		defer func() { _ = tx.Rollback() }()
		for name, m := range map[string]broker.Message{
			"no topic":     {ID: "1"},
			"broken id":    {ID: "\xff", Topic: "t"},
			"nul in key":   {ID: "1", Topic: "t", Key: "\x00"},
			"header name":  {ID: "1", Topic: "t", Headers: map[string]string{"": "x"}},
			"header value": {ID: "1", Topic: "t", Headers: map[string]string{"x": "\x00"}},
		} {
			if err := b.table.Write(ctx, tx, m); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, b.table.Write(ctx, tx))
	})
	for name, table := range map[string]outbox.Table{
		"no dialect": {}, "name": {Dialect: outbox.SQLite, Name: `x"; drop table y`}, "schema": {Dialect: outbox.PostgreSQL, Schema: "a.b"},
	} {
		_, err := outbox.NewTableRelay("r", nil, table, nil, nil, outbox.TableOptions{})
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err := table.Write(t.Context(), nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: write: %v", name, err)
		}
		if _, err := table.Migrate(t.Context(), nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: migrate: %v", name, err)
		}
	}
	_, err := outbox.NewTableRelay("a/b", nil, outbox.Table{Dialect: outbox.SQLite}, nil, nil, outbox.TableOptions{BatchSize: 1001, Retention: -1})
	for _, want := range []string{`"/"`, "1001", "retention"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
}

func TestMigratesOnceHoweverManyDoIt(t *testing.T) {
	onEach(t, func(t *testing.T, b base) {
		b.table.Name = "second"
		var (
			mu      sync.Mutex
			applied int
			wg      sync.WaitGroup
		)
		for range 4 {
			db := b.open()
			wg.Go(func() {
				list, err := b.table.Migrate(t.Context(), db)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				applied += len(list)
			})
		}
		wg.Wait()
		if applied != 1 {
			t.Errorf("%d migrations were applied, want 1", applied)
		}
		name := `"second_migrations"`
		if b.table.Schema != "" {
			name = b.table.Schema + "." + name
		}
		_, err := b.db.ExecContext(t.Context(), "insert into "+name+" (number, name, applied_at) values (99, 'x', 0)")
		must(t, err)
		if _, err := b.table.Migrate(t.Context(), b.db); !errors.Is(err, store.ErrIncompatible) {
			t.Errorf("a table of a newer program: %v", err)
		}
	})
}
