package cli

import (
	"context"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func (a *app) streams() *cobra.Command {
	var r store.StreamsRead
	cmd := &cobra.Command{
		Use: "streams", Short: "List the streams by name", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if err := notNegative("limit", r.Limit); err != nil {
				return err
			}
			return a.with(ctx, toRead, func(ad *admin.Admin) error { return a.listStreams(ctx, ad, r) })
		}),
	}
	cmd.Flags().StringVar(&r.Category, "category", "", "only streams of this category")
	cmd.Flags().StringVar((*string)(&r.After), "after", "", "only names greater than this, to go on with a list")
	cmd.Flags().IntVar(&r.Limit, "limit", 0, "at most so many (0: all)")
	return cmd
}

func (a *app) listStreams(ctx context.Context, ad *admin.Admin, r store.StreamsRead) error {
	if a.json {
		for info, err := range ad.Streams(ctx, r) {
			if err != nil {
				return err
			}
			if err := a.printJSON(info); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable(a.stdout, "STREAM", "VERSION", "EVENTS", "POSITION", "UPDATED")
	for info, err := range ad.Streams(ctx, r) {
		if err != nil {
			return err
		}
		events := count(info.Version - max(info.First, 1) + 1)
		if info.Deleted {
			events = "deleted"
		}
		if err := t.row(info.Stream, info.Version, events, info.Position, clock(info.UpdatedAt)); err != nil {
			return err
		}
	}
	return t.end()
}

func (a *app) read() *cobra.Command {
	var r store.StreamRead
	cmd := &cobra.Command{
		Use: "read STREAM", Short: "Show the events of one stream", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			if err := notNegative("from", r.From); err != nil {
				return err
			}
			if err := notNegative("limit", r.Limit); err != nil {
				return err
			}
			r.Stream = event.StreamID(args[0])
			return a.with(ctx, toRead, func(ad *admin.Admin) error { return a.showStream(ctx, ad, r) })
		}),
	}
	cmd.Flags().Int64Var((*int64)(&r.From), "from", 0, "first version to show (0: the start or, backwards, the end)")
	cmd.Flags().IntVar(&r.Limit, "limit", 0, "at most so many events (0: all)")
	cmd.Flags().BoolVar(&r.Backwards, "backwards", false, "newest first")
	return cmd
}

func (a *app) showStream(ctx context.Context, ad *admin.Admin, r store.StreamRead) error {
	var t *table
	for e, err := range ad.ReadStream(ctx, r) {
		if err != nil {
			return err
		}
		if a.json {
			if err := a.printEvent(&e); err != nil {
				return err
			}
			continue
		}
		if t == nil {
			t = newTable(a.stdout, "VERSION", "POSITION", "OCCURRED", "TYPE", "DATA")
		}
		if err := t.row(e.Version, e.Position, clock(e.OccurredAt), e.Type, summary(&e)); err != nil {
			return err
		}
	}
	if t == nil {
		return nil
	}
	return t.end()
}
