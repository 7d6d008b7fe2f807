package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
)

func (a *app) info() *cobra.Command {
	return &cobra.Command{
		Use: "info", Short: "What the store is and what it holds", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, _ []string) error {
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				info, err := ad.Info(ctx)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(info)
				}
				streams := count(info.Streams)
				if info.MoreStreams {
					streams = "more than " + streams
				}
				return fields(a.stdout,
					"backend", info.Backend+" "+info.Version,
					"location", info.Location,
					"schema", info.Schema,
					"durability", info.Durability,
					"capabilities", strings.Join(info.Capabilities, ", "),
					"head", count(info.Head),
					"streams", streams,
					"oldest event", brief(info.Oldest),
					"newest event", brief(info.Newest))
			})
		}),
	}
}

func brief(e *event.Recorded) string {
	if e == nil {
		return "none"
	}
	return fmt.Sprintf("%s in %s at %s", e.Type, e.Stream, clock(e.RecordedAt))
}
