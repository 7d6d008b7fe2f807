package migrate_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
)

func TestComparesEveryFieldOfEveryEvent(t *testing.T) {
	from := memory()
	fill(t, from, 12)
	for field, spoil := range map[string]func(e *event.Recorded){
		"id":             func(e *event.Recorded) { e.ID = event.NewID() },
		"type":           func(e *event.Recorded) { e.Type = "other" },
		"schema_version": func(e *event.Recorded) { e.SchemaVersion++ },
		"content_type":   func(e *event.Recorded) { e.ContentType = "text/plain" },
		"data":           func(e *event.Recorded) { e.Data = append(bytes.Repeat([]byte("long "), 1000), e.Data...) },
		"metadata":       func(e *event.Recorded) { e.RawMetadata = append([]byte(" "), e.RawMetadata...) },
		"tags":           func(e *event.Recorded) { e.Tags = e.Tags[:2] },
		"occurred_at":    func(e *event.Recorded) { e.OccurredAt = e.OccurredAt.Add(time.Microsecond) },
		"recorded_at":    func(e *event.Recorded) { e.RecordedAt = e.RecordedAt.Add(-time.Microsecond) },
	} {
		to := memory()
		var events []event.Recorded
		for e, err := range from.ReadLog(t.Context(), store.LogRead{}) {
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		spoil(&events[6])
		if err := to.Import(t.Context(), 0, events); err != nil {
			t.Fatal(err)
		}
		c, err := migrate.Compare(t.Context(), from, to, migrate.Comparison{})
		if err != nil || len(c.Differences) != 1 || c.Differences[0].Position != 7 || c.Differences[0].Field != field || c.Differences[0].Stream != "thing-2" {
			t.Errorf("%s: %+v, %v", field, c.Differences, err)
			continue
		}
		if c.OK() || c.Source.SHA256 == c.Target.SHA256 {
			t.Errorf("%s: %+v", field, c)
		}
		if line := c.Differences[0].String(); strings.Contains(line, "\n") || len(line) > 400 || !strings.Contains(line, "position 7, stream thing-2, "+field) {
			t.Errorf("%s: %s", field, line)
		}
	}
}

func TestComparesStreamsRemovalsAndRecords(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		from, to := memory(), store.New(open(), store.Options{})
		fill(t, from, 10)
		if _, err := from.Apply(t.Context(), store.Put("b", "k", []byte("v")), store.Put("b", "l", []byte("v"))); err != nil {
			t.Fatal(err)
		}
		mustCopy(t, from, to, migrate.Options{Records: true})
		if _, err := from.Truncate(t.Context(), "thing-1", 2); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Apply(t.Context(), store.Delete("b", "k"), store.Put("b", "l", []byte("w"))); err != nil {
			t.Fatal(err)
		}
		c, err := migrate.Compare(t.Context(), from, to, migrate.Comparison{Records: true})
		var fields []string
		for _, d := range c.Differences {
			fields = append(fields, string(d.Stream)+d.Key+" "+d.Field)
		}
		if got, want := strings.Join(fields, ", "), "thing-1 event, thing-1 first, thing-1 created_at, thing-1 removed, k record, l record"; err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
		few, err := migrate.Compare(t.Context(), from, to, migrate.Comparison{Records: true, MaxDifferences: 2})
		if err != nil || len(few.Differences) != 2 || few.More != 4 {
			t.Errorf("got %+v, %v; want 2 differences and 4 more", few, err)
		}
	})
}

func TestAnEmptyLogIsTheSameAsAnEmptyLog(t *testing.T) {
	mustCopy(t, memory(), memory(), migrate.Options{Records: true})
	c := wantSame(t, memory(), memory(), migrate.Comparison{Records: true})
	if c.Position != 0 || c.Source.Events != 0 {
		t.Errorf("got %+v", c)
	}
}
