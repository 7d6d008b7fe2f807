// Package everybroker runs a test on each broker, for the packages above the broker that must work on all of them. Only
// tests import it.
//
// Servers are named by the TEST_ variables of scripts/services. Without one its part is skipped, but fails where all
// services must be there (CI=true, or REQUIRE_SERVICES=1).
package everybroker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/drivers"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
)

// Opener opens another handle on the same broker, as another process would have. It is closed when the test ends.
type Opener func() *broker.Broker

// opening bounds how long a server is waited for.
const opening = 30 * time.Second

// Each runs a test on each broker, as a part named after it. Name makes the names of topics and groups that only this run
// uses: servers keep them.
func Each(t *testing.T, run func(t *testing.T, open Opener, name func(string) string)) {
	t.Helper()
	for _, server := range []struct{ name, variable string }{
		{"memory", ""}, {"redis", "TEST_REDIS_URL"}, {"nats", "TEST_NATS_URL"}, {"rabbitmq", "TEST_RABBITMQ_URL"}, {"kafka", "TEST_KAFKA_URL"},
	} {
		t.Run(server.name, func(t *testing.T) {
			id := event.NewID()
			run(t, opener(t, server.variable), func(name string) string { return fmt.Sprintf("%s-%x", name, id[:]) })
		})
	}
}

func opener(t *testing.T, variable string) Opener {
	t.Helper()
	if variable == "" {
		b := open(t, "memory:")
		return func() *broker.Broker { return b }
	}
	url := testserver.URL(t, variable)
	return func() *broker.Broker { return open(t, url) }
}

func open(t *testing.T, url string) *broker.Broker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), opening)
	defer cancel()
	backend, err := broker.OpenURL(ctx, url, drivers.Brokers())
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(backend, broker.Options{})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}
