package schema_test

import (
	"errors"
	"strings"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
)

func append1(letter string) func([]byte) ([]byte, error) {
	return func(data []byte) ([]byte, error) { return []byte(string(data) + letter), nil }
}

func TestAnOldEventGoesThroughTheWholeChain(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[note](r, "note", schema.Options{
		Version: 5,
		Codec:   text{"text/plain"},
		Upcasters: []schema.Upcaster{ // the order in which they are given does not matter
			{From: 4, Func: append1("d")},
			{From: 1, Func: append1("a")},
			{From: 2, To: 4, Func: append1("b")}, // a shortcut
			{From: 3, Func: append1("c")},
		},
	}))
	for version, want := range map[int]note{1: "xabd", 2: "xbd", 3: "xcd", 4: "xd", 5: "x"} {
		e := stored(event.Pending{Type: "note", SchemaVersion: version, ContentType: "text/plain", Data: []byte("x")})
		got, err := r.Decode(e)
		if err != nil || got != want {
			t.Errorf("version %d: decoded as %v, %v; want %v", version, got, err, want)
		}
		if string(e.Data) != "x" {
			t.Errorf("version %d: the stored data was changed", version)
		}
	}
}

func TestAFailingUpcasterSaysWhichOne(t *testing.T) {
	r := schema.NewRegistry()
	broken := errors.New("broken")
	register(t, schema.Register[placed](r, "order.placed", schema.Options{Version: 2, Upcasters: []schema.Upcaster{
		{From: 1, Func: func([]byte) ([]byte, error) { return nil, broken }},
	}}))
	_, err := r.Decode(stored(event.Pending{Type: "order.placed", SchemaVersion: 1, ContentType: event.JSON}))
	wantError(t, err, broken, "upcast from version 1 to 2", "order-7")
}

func TestAFaultyChainIsRefusedAtRegistration(t *testing.T) {
	f := append1("")
	for name, c := range map[string]struct {
		options schema.Options
		phrase  string
	}{
		"gap":                 {schema.Options{Version: 3, Upcasters: []schema.Upcaster{{From: 1, Func: f}}}, "gap: no upcaster from version 2"},
		"no chain":            {schema.Options{Version: 2}, "gap: no upcaster from version 1"},
		"loop to itself":      {schema.Options{Version: 2, Upcasters: []schema.Upcaster{{From: 1, To: 1, Func: f}}}, "loop"},
		"loop backwards":      {schema.Options{Version: 3, Upcasters: []schema.Upcaster{{From: 1, Func: f}, {From: 2, To: 1, Func: f}}}, "loop"},
		"duplicate":           {schema.Options{Version: 2, Upcasters: []schema.Upcaster{{From: 1, Func: f}, {From: 1, Func: f}}}, "duplicate"},
		"beyond the current":  {schema.Options{Version: 2, Upcasters: []schema.Upcaster{{From: 1, To: 3, Func: f}}}, "beyond"},
		"from the current":    {schema.Options{Upcasters: []schema.Upcaster{{From: 1, Func: f}}}, "beyond"},
		"before the oldest":   {schema.Options{Version: 2, Oldest: 2, Upcasters: []schema.Upcaster{{From: 1, Func: f}}}, "before the oldest"},
		"no function":         {schema.Options{Version: 2, Upcasters: []schema.Upcaster{{From: 1}}}, "no function"},
		"negative version":    {schema.Options{Version: -1}, "1 ≤ oldest ≤ version"},
		"oldest is too young": {schema.Options{Version: 1, Oldest: 2}, "1 ≤ oldest ≤ version"},
	} {
		t.Run(name, func(t *testing.T) {
			r := schema.NewRegistry()
			wantError(t, schema.Register[placed](r, "order.placed", c.options), nil, "order.placed", c.phrase)
			if len(r.Types()) != 0 {
				t.Error("the faulty type was registered")
			}
		})
	}
}

func TestAllFaultsAreReportedTogether(t *testing.T) {
	r := schema.NewRegistry()
	register(t, schema.Register[placed](r, "taken", schema.Options{}))
	err := schema.Register[placed](r, "taken", schema.Options{Version: 3, Upcasters: []schema.Upcaster{{From: 2, To: 1}}})
	wantError(t, err, schema.ErrDuplicate, `name registered already`, `type registered already, as "taken"`,
		"gap: no upcaster from version 1", "loop", "has no function")
	wantError(t, schema.Register[error](r, "$x", schema.Options{}), nil, "concrete type", "belong to the store")
	wantError(t, schema.Register[**placed](r, "", schema.Options{}), nil, "concrete type", "must not be empty")
	if strings.Contains(err.Error(), "%!") {
		t.Errorf("badly formatted: %v", err)
	}
}
