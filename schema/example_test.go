package schema_test

import (
	"bytes"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
)

// Registered is the second version of the event: "name" became "full_name".
type Registered struct {
	FullName string `json:"full_name"`
}

func Example() {
	registry := schema.NewRegistry()
	err := schema.Register[Registered](registry, "customer.registered", schema.Options{
		Version: 2,
		Upcasters: []schema.Upcaster{{From: 1, Func: func(data []byte) ([]byte, error) {
			return bytes.Replace(data, []byte(`"name"`), []byte(`"full_name"`), 1), nil
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	old := event.Recorded{
		Stream: "customer-1", Version: 1, Position: 1, Type: "customer.registered", SchemaVersion: 1,
		ContentType: event.JSON, Data: []byte(`{"name":"Ada"}`),
	}
	v, err := registry.Decode(&old)
	fmt.Printf("%+v %v\n", v, err)
	// Output: {FullName:Ada} <nil>
}
