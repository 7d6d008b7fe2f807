package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
)

func (a *app) verify() *cobra.Command {
	var o admin.Verify
	cmd := &cobra.Command{
		Use: "verify", Short: "Prove that the store is whole", Args: cobra.NoArgs,
		Long: "verify reads the whole log and proves that positions are gapless (up to what was truncated), that the versions\n" +
			"of each stream are contiguous, that event ids are unique, and that metadata and JSON data can be decoded.\n" +
			"It lists each fault and exits with 1 if there is any.",
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if err := notNegative("max-faults", o.MaxFaults); err != nil {
				return err
			}
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				bar := a.progress("verify", -1, false)
				o.Progress, o.Check = bar.at, a.decodes()
				v, err := ad.Verify(ctx, o)
				bar.end()
				if err != nil {
					return err
				}
				return a.showVerified(&v)
			})
		}),
	}
	cmd.Flags().IntVar(&o.MaxFaults, "max-faults", 100, "how many faults to list; further ones are counted")
	return cmd
}

// decodes checks that events are of registered types, and decode; nil where the program has none.
func (a *app) decodes() func(*event.Recorded) error {
	if a.Registry == nil {
		return nil
	}
	return func(e *event.Recorded) error {
		_, err := a.Registry.DecodeAll(e)
		return err
	}
}

func (a *app) showVerified(v *admin.Verified) error {
	if a.json {
		if err := a.printJSON(struct {
			OK bool `json:"ok"`
			*admin.Verified
		}{v.OK(), v}); err != nil {
			return err
		}
	}
	what := fmt.Sprintf("%s in %s up to position %s", plural(v.Events, "event"), plural(v.Streams, "stream"), count(v.Head))
	if v.Removed > 0 {
		what += fmt.Sprintf(", %s removed", count(v.Removed))
	}
	if v.OK() {
		if a.json {
			return nil
		}
		_, err := fmt.Fprintf(a.stdout, "ok: %s: positions gapless, versions contiguous, ids unique, all decodable\n", what)
		return err
	}
	if !a.json {
		for _, f := range v.Faults {
			fmt.Fprintln(a.stdout, f)
		}
		if v.More > 0 {
			fmt.Fprintf(a.stdout, "and %s\n", plural(v.More, "further fault"))
		}
	}
	return fmt.Errorf("verify: %s found among %s", plural(int64(len(v.Faults))+v.More, "fault"), what)
}
