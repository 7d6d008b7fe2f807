package event_test

import (
	"fmt"

	"lexigram.dev/events/event"
)

func Example() {
	stream, err := event.NewStreamID("order", "eu-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stream, "is in category", stream.Category(), "under the key", stream.Key())

	// An id that is derived from the input makes its append idempotent: the same line gives the same id.
	source := event.DerivedID(event.ID{}, "payments.csv")
	fmt.Println(event.DerivedID(source, "line 17") == event.DerivedID(source, "line 17"))

	_, err = event.NewStreamID("order-eu", "7")
	fmt.Println(err)
	// Output:
	// order-eu-7 is in category order under the key eu-7
	// true
	// stream category "order-eu": must not contain "-", which ends the category
}
