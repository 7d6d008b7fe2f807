package cli

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
)

// steering makes commands that do one thing to one named thing of a kind.
func steering[C any](a *app, kind string, control func(*admin.Admin) C) func(use, short, done string, do func(c C, ctx context.Context, name string) error) *cobra.Command {
	return func(use, short, done string, do func(c C, ctx context.Context, name string) error) *cobra.Command {
		return &cobra.Command{
			Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
			RunE: a.action(func(ctx context.Context, args []string) error {
				return a.with(ctx, toChange, func(ad *admin.Admin) error {
					if err := do(control(ad), ctx, args[0]); err != nil {
						return err
					}
					return a.done(kind, args[0], done)
				})
			}),
		}
	}
}

// listing makes the function of a command that shows a list: as a table, or as JSON.
func listing[T any](a *app, list func(*admin.Admin, context.Context) iter.Seq2[T, error], none string, header []string, cells func(T) []any) func(*cobra.Command, []string) error {
	return a.action(func(ctx context.Context, _ []string) error {
		return a.with(ctx, toRead, func(ad *admin.Admin) error { return show(a, list(ad, ctx), none, header, cells) })
	})
}

func show[T any](a *app, items iter.Seq2[T, error], none string, header []string, cells func(T) []any) error {
	t := newTable(a.stdout, header...)
	n := 0
	for item, err := range items {
		if err != nil {
			return err
		}
		n++
		if a.json {
			err = a.printJSON(item)
		} else {
			err = t.row(cells(item)...)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case a.json:
		return nil
	case n == 0:
		_, err := fmt.Fprintln(a.stdout, none)
		return err
	}
	return t.end()
}
