package deadletter_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// desk is the dead letters of a store, with what tests do to them.
type desk struct {
	*deadletter.Letters
	*testing.T
	store *store.Store
}

const source = "subscription/mailer"

func newDesk(t *testing.T, b store.Backend, l store.Limits) desk {
	s := store.New(b, store.Options{Limits: l})
	return desk{Letters: deadletter.New(s, deadletter.Options{}), T: t, store: s}
}

// inMemory runs a test at the bubble's time, which stands still.
func inMemory(t *testing.T, test func(d desk)) {
	synctest.Test(t, func(t *testing.T) { test(newDesk(t, memstore.New(memstore.Options{}), store.Limits{})) })
}

func eventLetter(position event.Position, sequence string, state deadletter.State) deadletter.Letter {
	l := deadletter.Letter{
		Source: source, Sequence: sequence, State: state,
		Event: &event.Recorded{
			ID: event.NewID(), Stream: event.StreamID(sequence), Version: event.Version(position), Position: position, Type: "order.placed",
			SchemaVersion: 1, ContentType: event.JSON, Data: fmt.Appendf(nil, `{"n":%d}`, position), RawMetadata: []byte(`{}`),
			OccurredAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), RecordedAt: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
		},
	}
	if state != deadletter.StateWaiting {
		l.Error, l.Attempts = "no route to host", 4
	}
	return l
}

func idOf(position event.Position) string { return fmt.Sprintf("%s/%019d", source, position) }

func (d desk) apply(ops []store.Op, err error) {
	d.Helper()
	if err == nil {
		_, err = d.store.Apply(d.Context(), ops...)
	}
	if err != nil {
		d.Fatal(err)
	}
}

func (d desk) park(letters ...deadletter.Letter) {
	d.Helper()
	for _, letter := range letters {
		d.apply(d.Park(d.Context(), letter))
	}
}

func (d desk) get(id string) deadletter.Letter {
	d.Helper()
	letter, err := d.Get(d.Context(), id)
	if err != nil {
		d.Fatal(err)
	}
	return letter
}

func (d desk) requested(source string) []deadletter.Letter {
	d.Helper()
	var list []deadletter.Letter
	for letter, err := range d.Requested(d.Context(), source) {
		if err != nil {
			d.Fatal(err)
		}
		list = append(list, letter)
	}
	return list
}

func (d desk) ids(f deadletter.Filter) []string {
	d.Helper()
	var list []string
	for letter, err := range d.List(d.Context(), f) {
		if err != nil {
			d.Fatal(err)
		}
		list = append(list, letter.ID)
	}
	return list
}

func (d desk) blocked(sequence string) bool {
	d.Helper()
	blocked, err := d.Blocked(d.Context(), source, sequence)
	if err != nil {
		d.Fatal(err)
	}
	return blocked
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
