package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/store"
)

func (a *app) migrate() *cobra.Command {
	return group("migrate", "Create the store's tables, or bring them up to date",
		&cobra.Command{
			Use: "up", Short: "Apply the missing migrations", Args: cobra.NoArgs,
			RunE: a.action(func(ctx context.Context, _ []string) error {
				return a.with(ctx, toMigrate, func(ad *admin.Admin) error {
					applied, err := ad.Migrate(ctx)
					if err == nil && len(applied) == 0 && !a.json {
						_, err = fmt.Fprintln(a.stdout, "nothing to do: the tables are up to date")
						return err
					}
					if shown := a.showMigrations(applied); err == nil {
						err = shown
					}
					return err
				})
			}),
		},
		&cobra.Command{
			Use: "status", Short: "List the migrations and which are applied", Args: cobra.NoArgs,
			RunE: a.action(func(ctx context.Context, _ []string) error {
				return a.with(ctx, toMigrate, func(ad *admin.Admin) error {
					migrations, err := ad.Migrations(ctx)
					if err != nil {
						return err
					}
					return a.showMigrations(migrations)
				})
			}),
		},
	)
}

func (a *app) showMigrations(migrations []store.Migration) error {
	if a.json {
		for _, m := range migrations {
			if err := a.printJSON(m); err != nil {
				return err
			}
		}
		return nil
	}
	if len(migrations) == 0 {
		return nil
	}
	t := newTable(a.stdout, "NUMBER", "NAME", "STATE")
	for _, m := range migrations {
		state := "pending"
		if m.Applied {
			state = "applied"
		}
		if err := t.row(m.Number, m.Name, state); err != nil {
			return err
		}
	}
	return t.end()
}
