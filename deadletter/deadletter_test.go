package deadletter_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/store"
)

func TestKeepsLettersWhole(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		d := newDesk(t, open(), store.Limits{MaxRecordBytes: 2000}) // so that the large one needs several
		at := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
		small := eventLetter(7, "order-1", deadletter.StateParked)
		small.FirstFailedAt, small.LastFailedAt = at, at.Add(time.Minute)
		small.Event.Tags = []event.Tag{"a:<b>", "c\u2028"}
		small.Event.Data = []byte{0, 1, 0xff, '"'}
		small.Event.RawMetadata = []byte(`{ "actor" : "x"}`)
		large := eventLetter(8, "order-2", deadletter.StateParked)
		large.Event.Data = bytes.Repeat([]byte{0xfe, '<'}, 10_000)
		message := deadletter.Letter{
			Source: "eventbus/billing", Sequence: "k\xff", Error: "x\xffy", Attempts: 1, State: deadletter.StateParked,
			Message: &deadletter.Message{ID: "m-1", Topic: "t\xfe", Key: "k\xff", Headers: map[string]string{"ce-type": "a.b", "x\xff": "\x00\xfe"}, Body: []byte{0, 0xff}},
		}
		d.park(small, large, message)
		check := func(id string, want deadletter.Letter) {
			t.Helper()
			got := d.get(id)
			want.ID = id
			if want.FirstFailedAt.IsZero() {
				want.FirstFailedAt, want.LastFailedAt = got.FirstFailedAt, got.LastFailedAt
			}
			deadletter.Forget(&got)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
		check(idOf(7), small)
		check(idOf(8), large)
		message.Error = "x\ufffdy"
		check("eventbus/billing/m-1", message)

		if got := d.ids(deadletter.Filter{}); !slices.Equal(got, []string{"eventbus/billing/m-1", idOf(7), idOf(8)}) {
			t.Errorf("listed %q", got)
		}
		edited := bytes.Repeat([]byte("y"), 5000)
		must(t, d.Edit(t.Context(), idOf(8), edited))
		if got := d.get(idOf(8)); !bytes.Equal(got.Event.Data, edited) || !got.Edited {
			t.Errorf("the edited letter holds %d bytes, edited %v", len(got.Event.Data), got.Edited)
		}
		for _, id := range d.ids(deadletter.Filter{}) {
			must(t, d.Discard(t.Context(), id))
		}
		for _, bucket := range deadletter.Buckets() {
			for r, err := range d.store.Scan(t.Context(), store.Scan{Bucket: bucket}) {
				t.Errorf("left in %s: %q (%v)", bucket, r.Key, err)
			}
		}
	})
}

func TestRetriesASequenceInOrderAndOnlyByItsSource(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		d := newDesk(t, open(), store.Limits{})
		ctx := t.Context()
		d.park(
			eventLetter(5, "order-1", deadletter.StateParked),
			eventLetter(9, "order-1", deadletter.StateWaiting),
			eventLetter(12, "order-1", deadletter.StateWaiting),
			eventLetter(6, "order-2", deadletter.StateParked),
		)
		if err := d.Retry(ctx, idOf(9)); !errors.Is(err, deadletter.ErrBehind) || !strings.Contains(err.Error(), idOf(5)) {
			t.Errorf("retry of a letter that waits: %v", err)
		}
		if got := d.requested(source); len(got) != 0 {
			t.Errorf("requested although nobody asked: %+v", got)
		}
		must(t, d.Retry(ctx, idOf(5)))
		must(t, d.Retry(ctx, idOf(5)))
		for _, other := range []string{"subscription", "subscription/mail", "subscription/mailer/x", "projection/mailer"} {
			if got := d.requested(other); len(got) != 0 {
				t.Errorf("%s sees the request of %s: %+v", other, source, got)
			}
		}
		first := d.requested(source)
		if len(first) != 1 || first[0].ID != idOf(5) || first[0].State != deadletter.StateRequested {
			t.Fatalf("requested: %+v", first)
		}
		d.apply(d.Failed(ctx, first[0], errors.New("still no route")))
		if got := d.get(idOf(5)); got.State != deadletter.StateParked || got.Error != "still no route" || got.Attempts != 5 || got.FirstFailedAt.After(got.LastFailedAt) {
			t.Errorf("after a failed retry: %+v", got)
		}
		if got := d.requested(source); len(got) != 0 {
			t.Errorf("requested after it has failed: %+v", got)
		}
		must(t, d.Retry(ctx, idOf(5)))
		var handled []string
		for letter, err := range d.Requested(ctx, source) { // what follows the first is found in the same go
			must(t, err)
			handled = append(handled, letter.ID)
			d.apply(d.Resolved(ctx, letter))
		}
		if want := []string{idOf(5), idOf(9), idOf(12)}; !slices.Equal(handled, want) {
			t.Errorf("handled %q, want %q", handled, want)
		}
		if d.blocked("order-1") || !d.blocked("order-2") {
			t.Error("order-1 is still blocked, or order-2 is not")
		}
		var sequences []string
		for sequence, err := range d.BlockedSequences(ctx, source) {
			must(t, err)
			sequences = append(sequences, sequence)
		}
		if !slices.Equal(sequences, []string{"order-2"}) {
			t.Errorf("blocked sequences: %q", sequences)
		}
	})
}

func TestDiscardLetsTheNextGo(t *testing.T) {
	inMemory(t, func(d desk) {
		d.park(eventLetter(5, "order-1", deadletter.StateParked), eventLetter(9, "order-1", deadletter.StateWaiting))
		must(d.T, d.Discard(d.Context(), idOf(5)))
		if got := d.requested(source); len(got) != 1 || got[0].ID != idOf(9) {
			d.Errorf("requested: %+v", got)
		}
		if err := d.Discard(d.Context(), idOf(5)); !errors.Is(err, store.ErrNotFound) {
			d.Errorf("discard of what is gone: %v", err)
		}
	})
}

func TestParkingAgainKeepsWhatOthersDid(t *testing.T) {
	inMemory(t, func(d desk) {
		ctx := d.Context()
		letter := eventLetter(5, "order-1", deadletter.StateParked)
		d.park(letter)
		first := d.get(idOf(5)).FirstFailedAt
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
		must(d.T, d.Edit(ctx, idOf(5), []byte("better")))
		letter.Error = "again"
		d.park(letter)
		got := d.get(idOf(5))
		if !got.FirstFailedAt.Equal(first) || !got.LastFailedAt.Equal(first.Add(time.Hour)) || got.Error != "again" ||
			string(got.Event.Data) != "better" || !got.Edited || got.State != deadletter.StateRequested {
			d.Errorf("got %+v", got)
		}
		if n, err := d.Count(ctx, deadletter.Filter{}); n != 1 || err != nil {
			d.Errorf("%d letters (%v)", n, err)
		}
		letter.Sequence = "" // the source ceases to keep an order
		d.park(letter)
		if got := d.requested(source); len(got) != 1 || got[0].Sequence != "" || d.blocked("order-1") {
			d.Errorf("requested %+v, order-1 blocked: %v", got, d.blocked("order-1"))
		}
	})
}

func TestFiltersCountsAndPurges(t *testing.T) {
	inMemory(t, func(d desk) {
		ctx := d.Context()
		message := deadletter.Letter{Source: "projection/orders/eu", Message: &deadletter.Message{ID: "m", Headers: map[string]string{"ce-type": "invoice.sent"}}}
		start := time.Now()
		d.park(eventLetter(5, "order-1", ""), eventLetter(6, "order-1", deadletter.StateWaiting), eventLetter(7, "order-2", ""))
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
		d.park(message)
		for _, c := range []struct {
			filter deadletter.Filter
			want   int
		}{
			{deadletter.Filter{}, 4},
			{deadletter.Filter{Source: source}, 3},
			{deadletter.Filter{Source: "subscription/"}, 3},
			{deadletter.Filter{Source: "subscription"}, 0},
			{deadletter.Filter{Source: "projection/orders"}, 0},
			{deadletter.Filter{Source: "projection/orders/"}, 1},
			{deadletter.Filter{Sequence: "order-1"}, 2},
			{deadletter.Filter{Type: "order.placed"}, 3},
			{deadletter.Filter{Type: "invoice.sent"}, 1},
			{deadletter.Filter{State: deadletter.StateWaiting}, 1},
			{deadletter.Filter{Before: start.Add(time.Minute)}, 3},
			{deadletter.Filter{Before: start}, 0},
			{deadletter.Filter{Limit: 2}, 2},
			{deadletter.Filter{Source: source, Sequence: "order-2", State: deadletter.StateParked}, 1},
		} {
			if n, err := d.Count(ctx, c.filter); n != c.want || err != nil {
				d.Errorf("%+v: %d letters (%v), want %d", c.filter, n, err, c.want)
			}
		}
		if _, err := d.Count(ctx, deadletter.Filter{Limit: -1}); !errors.Is(err, store.ErrInvalid) {
			d.Errorf("negative limit: %v", err)
		}
		if n, err := d.Purge(ctx, start.Add(time.Minute)); n != 2 || err != nil {
			d.Errorf("purged %d (%v), want the two that were parked", n, err)
		}
		if got := d.requested(source); len(got) != 1 || got[0].ID != idOf(6) {
			d.Errorf("requested after the purge: %+v", got)
		}
	})
}

func TestUnfitMessageIDsGetOthers(t *testing.T) {
	inMemory(t, func(d desk) {
		ids := []string{"", "a/b", "~x", "0000000000000000007", strings.Repeat("x", 500), "nul\x00", "broken\xff"}
		for range 2 { // the second time gives the same letters
			for _, id := range ids {
				d.park(deadletter.Letter{Source: "eventbus/a", Sequence: "k", Message: &deadletter.Message{ID: id, Body: []byte("b")}})
			}
		}
		listed := d.ids(deadletter.Filter{Source: "eventbus/a"})
		if len(listed) != len(ids) {
			d.Errorf("%d letters of %d messages: %q", len(listed), len(ids), listed)
		}
		for _, id := range listed {
			if !strings.HasPrefix(id, "eventbus/a/~") || len(id) != len("eventbus/a/~")+32 {
				d.Errorf("id %q is not derived", id)
			}
		}
		d.park(deadletter.Letter{Source: "eventbus", Message: &deadletter.Message{ID: "a/m"}}, deadletter.Letter{Source: "eventbus/a", Message: &deadletter.Message{ID: "m"}})
		if n, err := d.Count(d.Context(), deadletter.Filter{Source: "eventbus/"}); n != len(ids)+2 || err != nil {
			d.Errorf("a source and an id that join to another's letter took its place: %d letters, %v", n, err)
		}
	})
}

func TestLongSequencesAreBlockedToo(t *testing.T) {
	inMemory(t, func(d desk) {
		for _, sequence := range []string{strings.Repeat("s", 600), "~x", "a\x00", "/", "//x"} {
			if d.blocked(sequence) {
				d.Errorf("%.10q is blocked before", sequence)
			}
			d.park(eventLetter(5, sequence, ""))
			if !d.blocked(sequence) {
				d.Errorf("%.10q is not blocked", sequence)
			}
			for got, err := range d.BlockedSequences(d.Context(), source) {
				if err != nil || got != sequence {
					d.Errorf("blocked is %.10q (%v), want %.10q", got, err, sequence)
				}
			}
		}
	})
}

func TestRefusesWhatCannotBeALetter(t *testing.T) {
	inMemory(t, func(d desk) {
		fits := eventLetter(1, "order-1", "")
		for name, c := range map[string]struct {
			spoil func(l *deadletter.Letter)
			kind  error
		}{
			"no source":           {func(l *deadletter.Letter) { l.Source = "" }, store.ErrInvalid},
			"source with a slash": {func(l *deadletter.Letter) { l.Source = "a/" }, store.ErrInvalid},
			"source of nothing":   {func(l *deadletter.Letter) { l.Source = "a//b" }, store.ErrInvalid},
			"long source":         {func(l *deadletter.Letter) { l.Source = strings.Repeat("s", 478) }, store.ErrTooLarge},
			"neither":             {func(l *deadletter.Letter) { l.Event = nil }, store.ErrInvalid},
			"both":                {func(l *deadletter.Letter) { l.Message = &deadletter.Message{} }, store.ErrInvalid},
			"no position":         {func(l *deadletter.Letter) { l.Event = &event.Recorded{} }, store.ErrInvalid},
			"requested":           {func(l *deadletter.Letter) { l.State = deadletter.StateRequested }, store.ErrInvalid},
			"waits for nothing":   {func(l *deadletter.Letter) { l.State, l.Sequence = deadletter.StateWaiting, "" }, store.ErrInvalid},
			"negative attempts":   {func(l *deadletter.Letter) { l.Attempts = -1 }, store.ErrInvalid},
		} {
			letter := fits
			c.spoil(&letter)
			if ops, err := d.Park(d.Context(), letter); !errors.Is(err, c.kind) || ops != nil {
				d.Errorf("%s: %v", name, err)
			}
		}
		longest := fits
		longest.Source = strings.Repeat("s", 477)
		d.park(longest)
		if _, err := d.Resolved(d.Context(), deadletter.Letter{}); !errors.Is(err, store.ErrInvalid) {
			d.Errorf("resolve of no letter: %v", err)
		}
	})
}

func TestDamagedLettersAreReported(t *testing.T) {
	for name, value := range map[string]string{"no JSON": "x", "bad parts": "parts x", "no parts": "parts 2 abc", "neither": `{"id":"x"}`} {
		inMemory(t, func(d desk) {
			d.apply([]store.Op{store.Put("$deadletter", "a/b", []byte(value))}, nil)
			if _, err := d.Get(d.Context(), "a/b"); !errors.Is(err, store.ErrCorrupt) {
				d.Errorf("%s: %v", name, err)
			}
			if _, err := d.Count(d.Context(), deadletter.Filter{}); !errors.Is(err, store.ErrCorrupt) {
				d.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestErrorsAreCut(t *testing.T) {
	inMemory(t, func(d desk) {
		letter := eventLetter(1, "", "")
		letter.Error = "x" + strings.Repeat("é", 10_000)
		d.park(letter)
		if got := d.get(idOf(1)).Error; len(got) > 8<<10+3 || !strings.HasSuffix(got, "é…") {
			d.Errorf("%d bytes, ends with %q", len(got), got[len(got)-6:])
		}
	})
}
