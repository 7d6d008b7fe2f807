package main

import (
	"bytes"
	"testing"
)

// What is stored stays readable: whoever changes an event finds out here, and what to do.
func TestTheShopsEventsAreAsTheLockSays(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"lexevents", "schema", "check", "--lock", "events.schema.json"}, &out, &out); code != 0 {
		t.Error(out.String())
	}
}
