package store

import (
	"fmt"

	"lexigram.dev/events/event"
)

// Expected is what an append expects of its stream: [Any], [NoStream], [StreamExists] or [Exactly]. The zero value
// means nothing and is refused, so that a forgotten expectation is never taken for "any".
type Expected struct {
	kind    expectedKind
	version event.Version
}

type expectedKind uint8

const (
	expectedNothing expectedKind = iota
	expectedAny
	expectedExists
	expectedExactly
)

// Any appends whatever the stream holds.
func Any() Expected { return Expected{kind: expectedAny} }

// NoStream appends only if the stream has never held an event. It is the same as Exactly(0).
func NoStream() Expected { return Expected{kind: expectedExactly} }

// StreamExists appends only if the stream holds at least one event.
func StreamExists() Expected { return Expected{kind: expectedExists} }

// Exactly appends only if the stream's last event has version v. A negative v is refused by the append.
func Exactly(v event.Version) Expected { return Expected{kind: expectedExactly, version: v} }

// IsAny reports whether e is Any.
func (e Expected) IsAny() bool { return e.kind == expectedAny }

// Version gives the one version that satisfies e; ok is false for Any and StreamExists, which many do.
func (e Expected) Version() (v event.Version, ok bool) {
	return e.version, e.kind == expectedExactly
}

// Allows reports whether a stream at version current (0: never written) satisfies e.
func (e Expected) Allows(current event.Version) bool {
	switch e.kind {
	case expectedAny:
		return true
	case expectedExists:
		return current > 0
	case expectedExactly:
		return current == e.version
	default:
		return false
	}
}

// String says what is expected, in the words of an error message.
func (e Expected) String() string {
	switch {
	case e.kind == expectedAny:
		return "any version"
	case e.kind == expectedExists:
		return "an existing stream"
	case e.kind == expectedExactly && e.version == 0:
		return "no stream"
	case e.kind == expectedExactly:
		return fmt.Sprintf("version %d", e.version)
	default:
		return "nothing (the zero Expected)"
	}
}

func (e Expected) validate() error {
	if e.kind == expectedNothing {
		return invalid("the expected version is missing: use store.Any, NoStream, StreamExists or Exactly")
	}
	if e.version < 0 {
		return invalid("expected version %d: must not be negative", e.version)
	}
	return nil
}
