package admin_test

import (
	"bytes"
	"context"
	"fmt"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// Copy a store into another, and prove that the copy is whole.
func Example() {
	ctx := context.Background()
	from := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer from.Close()
	if _, err := from.Append(ctx, "order-7", store.NoStream(),
		event.Pending{Type: "order.placed", Data: []byte(`{"lines":2}`)},
		event.Pending{Type: "order.paid", Data: []byte(`{"cents":1999}`)},
	); err != nil {
		fmt.Println(err)
		return
	}
	var lines bytes.Buffer
	if _, err := admin.New(from).Export(ctx, &lines, admin.Export{}); err != nil {
		fmt.Println(err)
		return
	}
	to := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer to.Close()
	imported, err := admin.New(to).Import(ctx, &lines, admin.Import{})
	if err != nil {
		fmt.Println(err)
		return
	}
	verified, err := admin.New(to).Verify(ctx, admin.Verify{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(imported.Appended, "appended; ok:", verified.OK())
	// Output: 2 appended; ok: true
}
