package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// variety fills a store with events of every shape that must survive a copy.
func variety(t *testing.T, s *store.Store) {
	t.Helper()
	put(t, s, "order-1", event.Pending{
		Type: "order.placed", SchemaVersion: 3, Data: []byte(`{ "n" : 12345678901234567890, "html":"<b>&" }`),
		Tags: []event.Tag{"customer:7", "eu"}, OccurredAt: time.Date(2020, 2, 29, 12, 0, 0, 123456000, time.UTC),
		Metadata: event.Metadata{Actor: "ann", Custom: map[string]string{"k": "v\n"}},
	})
	put(t, s, "image-1", event.Pending{Type: "image.taken", ContentType: "image/png", Data: []byte{0, 0xff, '\n'}})
	put(t, s, "order-1", happened("order.noted", "{\n  \"pretty\": true\n}"), happened("order.emptied", ``))
	put(t, s, "order-2", happened("order.placed", `"just text"`))
}

// stable removes from exported lines what the target store gives anew.
func stable(lines string) string {
	kept := strings.Builder{}
	for line := range strings.Lines(lines) {
		before, after, _ := strings.Cut(line, `"recorded_at":"`)
		_, after, _ = strings.Cut(after, `"`)
		kept.WriteString(before + after)
	}
	return kept.String()
}

func TestImportOfAnExportGivesTheSameStore(t *testing.T) {
	from, to := newStore(t), newStore(t)
	variety(t, from)
	lines := export(t, from)
	got, err := admin.New(to).Import(t.Context(), strings.NewReader(lines), admin.Import{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Appended != 5 || got.Lines != 5 || got.Present != 0 {
		t.Errorf("imported = %+v", got)
	}
	if again := export(t, to); stable(again) != stable(lines) {
		t.Errorf("exported again:\n%s\nwant:\n%s", stable(again), stable(lines))
	}
}

func TestImportingAgainAddsNothing(t *testing.T) {
	s := newStore(t)
	variety(t, s)
	lines := export(t, s)
	got, err := admin.New(s).Import(t.Context(), strings.NewReader(lines), admin.Import{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Appended != 0 || got.Present != 5 || export(t, s) != lines {
		t.Errorf("imported = %+v, or the store has changed", got)
	}
}

func TestImportCompletesWhatIsPartlyThere(t *testing.T) {
	from := newStore(t)
	for i := range 300 {
		put(t, from, event.StreamID(fmt.Sprintf("order-%d", i%7)), happened("order.changed", fmt.Sprintf(`{"n":%d}`, i)))
	}
	lines := export(t, from)
	all := strings.SplitAfter(lines, "\n")
	for _, there := range []int{1, 5, 7, 8, 150, 299} {
		t.Run(fmt.Sprintf("%d of 300 lines are there", there), func(t *testing.T) {
			to := newStore(t)
			for _, part := range []string{strings.Join(all[:there], ""), lines} {
				if _, err := admin.New(to).Import(t.Context(), strings.NewReader(part), admin.Import{}); err != nil {
					t.Fatal(err)
				}
			}
			if got := export(t, to); stable(got) != stable(lines) {
				t.Error("the completed store differs from the source")
			}
		})
	}
}

func TestImportStopsAtAMalformedLineAndKeepsWhatStoodBefore(t *testing.T) {
	good := `{"stream":"order-1","id":"0197a000-0000-7000-8000-00000000000%d","type":"order.placed","data":{}}`
	for name, c := range map[string]struct{ line, want string }{
		"not JSON":             {`{"stream":`, "line 3: the JSON object ends too early"},
		"not an object":        {`[]`, "line 3: must be a JSON object, not a array"},
		"two on a line":        {fmt.Sprintf(good, 8) + fmt.Sprintf(good, 9), "line 3: more text follows"},
		"an unknown key":       {`{"strem":"order-1"}`, `unknown field "strem"`},
		"no id":                {`{"stream":"order-1","type":"t","data":{}}`, `line 3: "id" is missing`},
		"no stream":            {`{"id":"0197a000-0000-7000-8000-000000000009","type":"t"}`, `line 3: "stream" is missing`},
		"a bad id":             {`{"stream":"order-1","id":"7","type":"t"}`, `line 3: parse event id "7"`},
		"a bad stream name":    {`{"stream":"order","id":"0197a000-0000-7000-8000-000000000009","type":"t"}`, "must have the form category-id"},
		"a number for a type":  {`{"stream":"order-1","id":"0197a000-0000-7000-8000-000000000009","type":7}`, `line 3: "type" must not be a number`},
		"an id with new data":  {`{"stream":"order-1","id":"0197a000-0000-7000-8000-000000000001","type":"other","data":{}}`, "is already stored"},
		"an id in two streams": {`{"stream":"order-9","id":"0197a000-0000-7000-8000-000000000001","type":"order.placed","data":{}}`, "is already stored"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			input := fmt.Sprintf(good, 1) + "\n" + fmt.Sprintf(good, 2) + "\n" + c.line + "\n" + fmt.Sprintf(good, 3) + "\n"
			got, err := admin.New(s).Import(t.Context(), strings.NewReader(input), admin.Import{})
			var line *admin.LineError
			if !errors.As(err, &line) || line.Line != 3 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want line 3 and %q", err, c.want)
			}
			if head, _ := s.Head(t.Context()); head != 2 || got.Lines != 2 {
				t.Errorf("head = %d, imported = %+v, want the two lines before", head, got)
			}
		})
	}
}

func TestImportRepeatsDeletions(t *testing.T) {
	from, to := newStore(t), newStore(t)
	variety(t, from)
	early := export(t, from)
	if _, err := from.Delete(t.Context(), "order-1", store.Any()); err != nil {
		t.Fatal(err)
	}
	late := export(t, from)
	for _, lines := range []string{early, late, late} {
		if _, err := admin.New(to).Import(t.Context(), strings.NewReader(lines), admin.Import{}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := to.StreamInfo(t.Context(), "order-1")
	if err != nil || !info.Deleted {
		t.Errorf("info = %+v, %v, want a deleted stream", info, err)
	}
	fresh := newStore(t)
	if _, err := admin.New(fresh).Import(t.Context(), strings.NewReader(late), admin.Import{}); err != nil {
		t.Fatal(err)
	}
	verified(t, fresh)
	verified(t, to)
}

func TestImportStopsWhenItsContextEnds(t *testing.T) {
	from, to := newStore(t), newStore(t)
	for range 50 {
		variety(t, from)
	}
	lines := export(t, from)
	ctx, cancel := context.WithCancel(t.Context())
	got, err := admin.New(to).Import(ctx, strings.NewReader(lines), admin.Import{
		Progress: func(admin.Imported) { cancel() },
	})
	if !errors.Is(err, context.Canceled) || got.Lines == 0 {
		t.Fatalf("imported = %+v, %v, want a cancelled import", got, err)
	}
	if head, _ := to.Head(t.Context()); int64(head) != got.Appended {
		t.Errorf("head = %d, but %d were reported", head, got.Appended)
	}
	rest, err := admin.New(to).Import(t.Context(), strings.NewReader(lines), admin.Import{})
	if err != nil || rest.Present != got.Lines || stable(export(t, to)) != stable(lines) {
		t.Errorf("second import = %+v, %v", rest, err)
	}
}
