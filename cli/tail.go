package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/store"
)

func (a *app) tail() *cobra.Command {
	var (
		t                 admin.Tail
		categories, types []string
		noFollow          bool
	)
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the newest events, then those that come, until Ctrl-C", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if err := notNegative("from", t.From); err != nil {
				return err
			}
			if err := notNegative("last", t.Last); err != nil {
				return err
			}
			t.Follow, t.Filter = !noFollow, filter(categories, types)
			return a.with(ctx, toRead, func(ad *admin.Admin) error { return a.follow(ctx, ad, t) })
		}),
	}
	cmd.Flags().Int64Var((*int64)(&t.From), "from", 0, "first position to show (0: the newest --last events)")
	cmd.Flags().IntVar(&t.Last, "last", 10, "how many events to begin with")
	cmd.Flags().BoolVar(&noFollow, "no-follow", false, "end at the head of the log")
	filterFlags(cmd, &categories, &types)
	return cmd
}

func filterFlags(cmd *cobra.Command, categories, types *[]string) {
	cmd.Flags().StringArrayVar(categories, "category", nil, "only streams of this category (may be repeated)")
	cmd.Flags().StringArrayVar(types, "type", nil, "only events of this type (may be repeated)")
}

func filter(categories, types []string) store.Filter {
	f := store.Filter{Categories: categories}
	if len(types) > 0 {
		f.Query = store.Query{{Types: types}}
	}
	return f
}

func (a *app) follow(ctx context.Context, ad *admin.Admin, t admin.Tail) error {
	if !a.json {
		fmt.Fprintf(a.stdout, "%9s  %-19s  %-24s  %-28s  %s\n", "POSITION", "RECORDED", "TYPE", "STREAM@VERSION", "DATA")
	}
	for e, err := range ad.Tail(ctx, t) {
		if err != nil {
			return err
		}
		if a.json {
			err = a.printEvent(&e)
		} else {
			_, err = fmt.Fprintf(a.stdout, "%9d  %-19s  %-24s  %-28s  %s\n",
				e.Position, clock(e.RecordedAt), e.Type, fmt.Sprintf("%s@%d", e.Stream, e.Version), summary(&e))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
