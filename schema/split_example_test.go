package schema_test

import (
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
)

type customerV1 struct {
	Name string `json:"name"`
}

type customerV2 struct {
	FullName string `json:"full_name"`
}

type customerMoved struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

type addressSet struct {
	Address string `json:"address"`
}

func Example_evolution() {
	registry := schema.NewRegistry()
	err := errors.Join(
		// A new shape, and a new name.
		schema.Register[customerV2](registry, "customer.registered", schema.Options{
			Version: 2,
			Aliases: []string{"customer.created"},
			Upcasters: []schema.Upcaster{
				schema.Upcast(1, func(old customerV1) (customerV2, error) { return customerV2{FullName: old.Name}, nil }),
			},
		}),
		schema.Register[addressSet](registry, "customer.address_set", schema.Options{}),
		// One event that is read as two.
		schema.Split(registry, "customer.moved", schema.Options{}, func(old customerMoved) ([]any, error) {
			return []any{customerV2{old.Name}, addressSet{old.Address}}, nil
		}, schema.Into[customerV2](), schema.Into[addressSet]()),
		// One that nobody needs.
		schema.Drop(registry, "customer.viewed"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range []event.Recorded{
		{Type: "customer.created", SchemaVersion: 1, ContentType: event.JSON, Data: []byte(`{"name":"Ada"}`)},
		{Type: "customer.moved", SchemaVersion: 1, ContentType: event.JSON, Data: []byte(`{"name":"Ada","address":"Paris"}`)},
		{Type: "customer.viewed", SchemaVersion: 1, ContentType: event.JSON},
	} {
		values, err := registry.DecodeAll(&e)
		fmt.Printf("%s: %+v %v\n", e.Type, values, err)
	}
	names, _ := schema.NamesFor[customerV2](registry)
	fmt.Println(names)
	// Output:
	// customer.created: [{FullName:Ada}] <nil>
	// customer.moved: [{FullName:Ada} {Address:Paris}] <nil>
	// customer.viewed: [] <nil>
	// [customer.registered customer.created customer.moved]
}
