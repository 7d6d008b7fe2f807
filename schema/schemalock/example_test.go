package schemalock_test

import (
	"fmt"

	"lexigram.dev/events/schema"
	"lexigram.dev/events/schema/schemalock"
)

// A test of your own program reads the lock from a file; here it is taken from an older registry.
func Example() {
	type before struct {
		Amount int64 `json:"amount"`
	}
	type now struct {
		Cents int64 `json:"cents"`
	}
	old, today := schema.NewRegistry(), schema.NewRegistry()
	if err := schema.Register[before](old, "order.paid", schema.Options{}); err != nil {
		fmt.Println(err)
	}
	if err := schema.Register[now](today, "order.paid", schema.Options{}); err != nil {
		fmt.Println(err)
	}
	lock := schemalock.Take(old, nil)
	for _, change := range lock.Check(today, schemalock.Backward) {
		fmt.Println(change.Breaks, change)
	}
	// Output:
	// true order.paid, field amount: has gone: what is stored of it is not read any more, and programs from before miss it; raise the version of the type and add an upcaster, or take the change back; was it renamed?
	// false order.paid, field cents: is new: events from before have its zero value
}
