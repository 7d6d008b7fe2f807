package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/store"
)

// Harness tells the suite how to get at a driver.
type Harness struct {
	// New makes a new, empty store and returns a function that opens a handle on it. Each call gives another handle,
	// such as another process would have; a backend that lives in one process gives the same handle again. The harness
	// closes the handles and removes the store when the test ends.
	New func(t *testing.T) (open func(t *testing.T) store.Backend)

	// Pause arranges that the next append through b stops in mid-commit: after it was given its positions, before
	// anybody else can see it. reached is closed when it stands there; resume lets it go on. Nil for a backend in which
	// no such moment exists.
	Pause func(t *testing.T, b store.Backend) (reached <-chan struct{}, resume func())
}

// patience bounds each wait for something that must happen.
const patience = 60 * time.Second

// clause is one promise.
type clause struct {
	rule  string                                // what holds, as a sentence about a store
	needs func(h Harness, b store.Backend) bool // nil: every backend
	prove func(t *testing.T, s *subject)
}

// subject is the store that a clause looks at.
type subject struct {
	*store.Store
	harness Harness
	open    func(t *testing.T) store.Backend
	ctx     context.Context
}

// another gives a store over another handle on the same data.
func (s *subject) another(t *testing.T) *store.Store {
	return store.New(s.open(t), store.Options{})
}

// Run proves every clause.
func Run(t *testing.T, h Harness) {
	for _, group := range []struct {
		name    string
		clauses []clause
	}{
		{"append", appendClauses()},
		{"race", raceClauses()},
		{"idempotence", idempotenceClauses()},
		{"order", orderClauses()},
		{"read", readClauses()},
		{"input", inputClauses()},
		{"truncation", truncationClauses()},
		{"import", importClauses()},
		{"lifecycle", lifecycleClauses()},
		{"records", recordClauses()},
		{"transaction", transactionClauses()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.clauses {
				t.Run(strings.ReplaceAll(c.rule, " ", "_"), func(t *testing.T) { c.run(t, h) })
			}
		})
	}
}

func (c clause) run(t *testing.T, h Harness) {
	open := h.New(t)
	b := open(t)
	if c.needs != nil && !c.needs(h, b) {
		t.Skipf("the backend does not offer what this clause is about")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c.prove(t, &subject{Store: store.New(b, store.Options{}), harness: h, open: open, ctx: ctx})
}

func offers[C any](_ Harness, b store.Backend) bool {
	_, ok := b.(C)
	return ok
}
