package cli

import (
	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/outbox"
)

func (a *app) outbox() *cobra.Command {
	return &cobra.Command{
		Use: "outbox", Short: "List the relays that publish the log to a broker, with their backlog", Args: cobra.NoArgs,
		Long: "outbox lists the relays that publish the log to a broker: how far each is, how many events wait, and since when.\n" +
			"A relay is steered as the subscription outbox-NAME; what it could not publish is in `deadletters list --source outbox/NAME`.",
		RunE: listing(a, (*admin.Admin).Relays, "no relay has ever run on this store",
			[]string{"RELAY", "STATE", "PUBLISHED UP TO", "BACKLOG", "SINCE", "DEAD LETTERS", "ERROR"},
			func(r outbox.Report) []any {
				return []any{r.Name, r.Feed.State, count(r.Feed.Position), plural(r.Feed.Lag, "event"), age(r.Feed.LagTime), r.DeadLetters, short(r.Feed.Error)}
			}),
	}
}
