package main

import (
	"context"
	"fmt"

	"lexigram.dev/events/drivers"
	"lexigram.dev/events/store"
)

func openStore(ctx context.Context, url string) (*store.Store, error) {
	backend, err := store.OpenURL(ctx, url, drivers.All(), store.OpenOptions{AutoMigrate: true})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return store.New(backend, store.Options{}), nil
}
