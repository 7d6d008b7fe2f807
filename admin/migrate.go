package admin

import (
	"context"
	"fmt"

	"lexigram.dev/events/store"
)

// Migrations lists every migration of the backend's tables, oldest first. A backend without tables gives
// store.ErrUnsupported.
func (a *Admin) Migrations(ctx context.Context) ([]store.Migration, error) {
	m, err := a.migrator()
	if err != nil {
		return nil, err
	}
	migrations, err := m.Migrations(ctx)
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	return migrations, nil
}

// Migrate applies the missing migrations and returns them. Those applied before an error stay.
func (a *Admin) Migrate(ctx context.Context) ([]store.Migration, error) {
	m, err := a.migrator()
	if err != nil {
		return nil, err
	}
	applied, err := m.Migrate(ctx)
	if err != nil {
		return applied, fmt.Errorf("migrate: %w", err)
	}
	return applied, nil
}

func (a *Admin) migrator() (store.Migrator, error) {
	if m, ok := a.store.Backend().(store.Migrator); ok {
		return m, nil
	}
	return nil, fmt.Errorf("migrations: %w: it has no tables to migrate", store.ErrUnsupported)
}
