package store_test

import (
	"errors"
	"strings"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func TestSizesAreLimitedToTheByte(t *testing.T) {
	escaped := strings.Repeat("<", 50) // six bytes each in JSON
	for name, metadata := range map[string]event.Metadata{
		"none": {},
		"all plain fields": {
			CorrelationID: escaped, CausationID: escaped, Actor: escaped, Tenant: escaped, TraceParent: escaped, TraceState: escaped,
		},
		"custom":       {Custom: map[string]string{escaped: escaped, "a": "", "b": ""}},
		"empty custom": {Custom: map[string]string{"a": "", "b": "", "c": "", "d": "", "e": "", "f": "", "g": "", "h": ""}},
		"everything":   {CorrelationID: "x", CausationID: "x", Actor: "x", Tenant: "x", TraceParent: "x", TraceState: "x", Custom: map[string]string{"k": "<"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := event.Pending{Type: "a", Data: []byte(`{"n":1}`), Metadata: metadata}
			size := len(e.Data) + len(metadata.AppendJSON(nil))
			for limits, fits := range map[store.Limits]bool{
				{MaxEventBytes: size}:          true,
				{MaxEventBytes: size - 1}:      false,
				{MaxCommitBytes: 2 * size}:     true,
				{MaxCommitBytes: 2*size - 1}:   false,
				{MaxEventBytes: 1 << 20}:       true,
				{MaxCommitBytes: 2*size + 500}: true,
			} {
				s := store.New(memstore.New(memstore.Options{}), store.Options{Limits: limits})
				_, err := s.Append(t.Context(), "s-1", store.Any(), e, e)
				if fits && err != nil || !fits && !errors.Is(err, store.ErrTooLarge) {
					t.Errorf("two events of %d bytes under %+v: %v", size, limits, err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
