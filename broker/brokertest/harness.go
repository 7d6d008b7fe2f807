package brokertest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

// Harness tells the suite how to get at a driver.
type Harness struct {
	// New gives a function that opens a handle on the broker. Each call gives another handle, such as another process
	// would have; a broker that lives in one process gives the same handle again. The harness closes the handles, and
	// removes topics and groups, when the test ends.
	New func(t *testing.T) (open func(t *testing.T) broker.Backend)

	// Kill ends a handle as the death of its process would: nothing is acknowledged or given back any more. Nil: the
	// suite closes the streams instead.
	Kill func(t *testing.T, b broker.Backend)

	// Cut breaks the connections of a handle once, in the middle of what they are doing. Nil for a broker without
	// connections.
	Cut func(t *testing.T, b broker.Backend)

	// Except names rules that the broker does not keep although its features say nothing of it, each with the reason. It
	// is for adapters of what cannot be a whole broker; a rule that is not in the suite is a fault.
	Except map[string]string

	// Messages is how many messages the load clause sends. Defaults to 100,000; with -short to 5,000.
	Messages int
}

// patience bounds each wait for something that must happen.
const patience = 60 * time.Second

// clause is one promise.
type clause struct {
	rule  string                                              // what holds, as a sentence about a broker
	needs func(h Harness, f broker.Features) (missing string) // "" when all is there; nil: every broker
	prove func(t *testing.T, s *subject)
}

// subject is the broker that a clause looks at.
type subject struct {
	*broker.Broker
	harness Harness
	open    func(t *testing.T) broker.Backend
	ctx     context.Context
	suffix  string // makes names unique
}

// another gives a broker over another handle.
func (s *subject) another(t *testing.T) *broker.Broker {
	return broker.New(s.open(t), broker.Options{})
}

// name makes the name of a topic or group that only this clause uses.
func (s *subject) name(name string) string { return name + "-" + s.suffix }

func (s *subject) group(name string, topics ...string) broker.Group {
	g := broker.Group{Name: s.name(name)}
	for _, topic := range topics {
		g.Topics = append(g.Topics, s.name(topic))
	}
	return g
}

// Run proves every clause.
func Run(t *testing.T, h Harness) {
	left := maps.Clone(h.Except)
	for _, group := range []struct {
		name    string
		clauses []clause
	}{
		{"delivery", deliveryClauses()},
		{"order", orderClauses()},
		{"redelivery", redeliveryClauses()},
		{"failure", failureClauses()},
		{"flow", flowClauses()},
		{"lifecycle", lifecycleClauses()},
		{"load", loadClauses()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.clauses {
				delete(left, c.rule)
				t.Run(strings.ReplaceAll(c.rule, " ", "_"), func(t *testing.T) { c.run(t, h) })
			}
		})
	}
	for rule := range left {
		t.Errorf("Except names a rule that the suite does not have: %s", rule)
	}
}

func (c clause) run(t *testing.T, h Harness) {
	if reason, ok := h.Except[c.rule]; ok {
		t.Skipf("not kept: %s", reason)
	}
	open := h.New(t)
	b := open(t)
	if c.needs != nil {
		if missing := c.needs(h, b.Features()); missing != "" {
			t.Skipf("left out: %s", missing)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	s := &subject{
		Broker: broker.New(b, broker.Options{}), harness: h, open: open, ctx: ctx,
		suffix: fmt.Sprintf("%08x", rand.Uint32()),
	}
	c.prove(t, s)
}

// feature makes a need of what a driver declares.
func feature(name string, has func(f broker.Features) bool) func(Harness, broker.Features) string {
	return func(_ Harness, f broker.Features) string {
		if has(f) {
			return ""
		}
		return "the broker declares that it has no " + name
	}
}

func ordered(h Harness, f broker.Features) string {
	return feature("order", func(f broker.Features) bool { return f.Ordered })(h, f)
}

func replay(h Harness, f broker.Features) string {
	return feature("replay", func(f broker.Features) bool { return f.Replay })(h, f)
}

func counted(h Harness, f broker.Features) string {
	return feature("delivery count", func(f broker.Features) bool { return f.DeliveryCount })(h, f)
}

func delayed(h Harness, f broker.Features) string {
	return feature("delayed redelivery with a count", func(f broker.Features) bool { return f.DelayedRedelivery && f.DeliveryCount })(h, f)
}

func cuts(h Harness, _ broker.Features) string {
	if h.Cut == nil {
		return "there are no connections to cut"
	}
	return ""
}
