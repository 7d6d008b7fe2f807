package memstore_test

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func Example() {
	ctx := context.Background()
	s := store.New(memstore.New(memstore.Options{}), store.Options{})
	defer func() { _ = s.Close() }()

	opened := event.Pending{Type: "account.opened", Data: []byte(`{"owner":"Ada"}`)}
	if _, err := s.Append(ctx, "account-1", store.NoStream(), opened); err != nil {
		fmt.Println(err)
	}
	_, err := s.Append(ctx, "account-1", store.NoStream(), opened)
	fmt.Println(errors.Is(err, store.ErrConflict), err)
	for e, err := range s.ReadStream(ctx, store.StreamRead{Stream: "account-1"}) {
		fmt.Println(e.Version, e.Type, string(e.Data), err)
	}
	// Output:
	// true append stream account-1: conflict: expected no stream, but stream account-1 is at version 1
	// 1 account.opened {"owner":"Ada"} <nil>
}
