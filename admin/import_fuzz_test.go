package admin_test

import (
	"errors"
	"strings"
	"testing"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// FuzzImport: whatever the lines are, all up to the first that is refused are in the store, that one is named, and nothing
// of what follows it is there; the same lines again add nothing.
func FuzzImport(f *testing.F) {
	const (
		id    = `"id":"01890a5d-ac96-774b-bcce-b302099a805`
		first = `{"stream":"order-7",` + id + `1","type":"order.placed","tags":["a"],"metadata":{"actor":"ada"},"data":{"n":1}}`
		other = `{"position":9,"stream":"order-8","version":3,` + id + `2","type":"order.paid","content_type":"image/png","data_base64":"AP8="}`
	)
	for _, seed := range []string{
		first, first + "\n\n" + other + "\n" + first, first + "\r\n" + other, first + "\n{", "\n \n[]\n", first + other, "null", "\xef\xbb\xbf" + first,
		strings.Replace(first, "placed", "changed", 1) + "\n" + first, other + "\n" + `{"stream":"order","type":"x",` + id + `3"}`,
		`{"stream":"order-7","type":"` + event.TombstoneType + `",` + id + `4"}` + "\n" + first,
		`{"stream":"order-7","type":"x",` + id + `5","occurred_at":"0000-01-01T00:00:00Z","schema_version":-1}`,
		`{"stream":"order-7","type":"x",` + id + `6","metadata":{"custom":{"":"\ud800"}},"data":"\ud800"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := newStore(t)
		got, err := admin.New(s).Import(t.Context(), strings.NewReader(text), admin.Import{})
		deletes := strings.Contains(text, `\u`) || strings.Contains(text, event.TombstoneType)
		there := int64(0)
		for _, failed := range s.ReadLog(t.Context(), store.LogRead{}) {
			if failed != nil {
				t.Fatal(failed)
			}
			there++
		}
		if got.Lines != got.Appended+got.Present || there > got.Appended || there < got.Appended && !deletes {
			t.Errorf("got %+v, and there are %d events", got, there)
		}
		lines := strings.Split(text, "\n")
		if err != nil {
			var line *admin.LineError
			if code, _ := errcode.Of(err); !errors.As(err, &line) || code != errcode.ImportLine || line.Line < 1 || line.Line > int64(len(lines)) {
				t.Fatalf("got %v, which names no line of %d", err, len(lines))
			}
			lines = lines[:line.Line-1]
		}
		before := int64(0)
		for _, line := range lines {
			if strings.TrimSpace(line) != "" {
				before++
			}
		}
		if got.Lines != before {
			t.Errorf("got %+v, but %d lines stand before the fault %v", got, before, err)
		}
		if deletes {
			return
		}
		again, failed := admin.New(s).Import(t.Context(), strings.NewReader(text), admin.Import{})
		if again.Appended != 0 || again.Lines != got.Lines || (err == nil) != (failed == nil) || err != nil && err.Error() != failed.Error() {
			t.Errorf("first %+v, %v; again %+v, %v", got, err, again, failed)
		}
	})
}

func TestALineThatIsTooLongIsNamed(t *testing.T) {
	good := `{"stream":"order-7","id":"01890a5d-ac96-774b-bcce-b302099a8051","type":"order.placed"}` + "\n\n"
	got, err := admin.New(newStore(t)).Import(t.Context(), strings.NewReader(good+strings.Repeat("x", 17<<20)), admin.Import{})
	var line *admin.LineError
	if !errors.As(err, &line) || line.Line != 3 || got.Appended != 1 {
		t.Errorf("got %+v, %v; want line 3", got, err)
	}
}
