package event_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"lexigram.dev/events/event"
)

// FuzzStreamID: a name that is accepted comes apart into what it was made of and survives JSON; one that is refused breaks
// a rule of the documentation.
func FuzzStreamID(f *testing.F) {
	for _, seed := range [][2]string{
		{"order", "7"},
		{"order", "eu-7"},
		{"or-der", "7"},
		{"", "7"},
		{"order", ""},
		{"order", "-"},
		{"bestellung", "Käthe 7"},
		{"a", "\x00"},
		{"a\u0085", "b"},
		{"a", "\xff"},
		{"a", "\ufffd"},
		{"\u2028", "\ufeff"},
		{"<&>", "\\\""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, category, id string) {
		s, err := event.NewStreamID(category, id)
		all := category + "-" + id
		legal := category != "" && id != "" && !strings.Contains(category, "-") && utf8.ValidString(all) && strings.IndexFunc(all, unicode.IsControl) < 0
		if legal != (err == nil) {
			t.Fatalf("%q and %q: got %v", category, id, err)
		}
		if err != nil {
			if err.Error() == "" || !utf8.ValidString(err.Error()) || strings.IndexFunc(err.Error(), unicode.IsControl) >= 0 {
				t.Errorf("the error cannot be printed: %q", err.Error())
			}
			return
		}
		if s.Category() != category || s.Key() != id || s.Validate() != nil || event.ValidateName(string(s)) != nil {
			t.Errorf("%q came apart into %q and %q (%v)", s, s.Category(), s.Key(), s.Validate())
		}
		raw, err := json.Marshal(s)
		var again event.StreamID
		if err == nil {
			err = json.Unmarshal(raw, &again)
		}
		if err != nil || again != s {
			t.Errorf("%q came back from JSON as %q (%v)", s, again, err)
		}
	})
}
