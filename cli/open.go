package cli

import (
	"context"
	"errors"
	"strings"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/store"
)

// purpose says what a command does with a store, and so how it is opened.
type purpose int

const (
	toRead    purpose = iota // never creates or changes anything
	toChange                 // writes to a store that is there
	toWrite                  // creates a missing embedded store; a server's is created by migrate up alone
	toMigrate                // opens what is missing or old
)

// with opens the store, lets do work on it and closes it.
func (a *app) with(ctx context.Context, p purpose, do func(*admin.Admin) error) (err error) {
	s, err := a.open(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(admin.New(s))
}

func (a *app) open(ctx context.Context, p purpose) (*store.Store, error) {
	if a.storeURL == "" {
		var err error
		if a.storeURL, err = a.storeOf(); err != nil {
			return nil, err
		}
	}
	if a.storeURL == "" {
		return nil, usagef("no store: give --store URL or set %s, or --config FILE, for example: --store sqlite:events.db", storeVariable)
	}
	return a.openURL(ctx, a.storeURL, p)
}

func (a *app) openURL(ctx context.Context, storeURL string, p purpose) (*store.Store, error) {
	o := store.OpenOptions{ReadOnly: p == toRead, Pending: p == toMigrate}
	o.AutoMigrate = p == toWrite && embedded(storeURL)
	if err := a.checkBackend(storeURL); err != nil {
		return nil, err
	}
	backend, err := store.OpenURL(ctx, storeURL, a.Drivers, o)
	if err != nil {
		return nil, err
	}
	return store.New(backend, store.Options{}), nil
}

// checkBackend takes a backend that is not linked, or no backend at all, for a fault of the command line.
func (a *app) checkBackend(storeURL string) error {
	for _, d := range a.Drivers {
		for _, scheme := range d.Schemes {
			if strings.HasPrefix(storeURL, scheme+":") {
				return nil
			}
		}
	}
	_, err := store.OpenURL(context.Background(), storeURL, a.Drivers, store.OpenOptions{})
	return usagef("%v", err)
}

// embedded reports whether the store lives in a file of this program's own.
func embedded(storeURL string) bool { return strings.HasPrefix(storeURL, "sqlite:") }
