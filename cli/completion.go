package cli

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// A shell waits for completion, and shows a few names at most.
const (
	completionTime  = 2 * time.Second
	completionNames = 50
)

// names gives what may stand at a place of the command line: args are the arguments before it.
type names func(ctx context.Context, ad *admin.Admin, args []string, begins string) iter.Seq2[string, error]

// completeNames has the shell complete names out of the store, wherever a command takes one.
func (a *app) completeNames(root *cobra.Command) {
	for path, of := range map[string]names{
		"read": streamNames, "append": streamNames,
		"subscriptions": subscriptionNames, "projections": projectionNames, "sagas": sagaNames, "deadletters": letterIDs,
	} {
		cmd, _, err := root.Find([]string{path})
		if err != nil {
			continue // this program has no such command
		}
		for _, c := range append(slices.Clone(cmd.Commands()), cmd) {
			if strings.ContainsRune(c.Use, ' ') { // it takes arguments
				c.ValidArgsFunction = a.completer(strings.Count(c.Use, " "), of)
			}
			if c.Flag("saga") != nil {
				_ = c.RegisterFlagCompletionFunc("saga", a.completer(1, sagaNames)) // fails for a flag that is not there
			}
		}
	}
	_ = root.RegisterFlagCompletionFunc("store", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var urls []string
		for _, d := range a.Drivers {
			urls = append(urls, d.Schemes[0]+":\t"+d.Example)
		}
		return urls, cobra.ShellCompDirectiveNoSpace
	})
}

// completer completes up to so many arguments.
func (a *app) completer(arguments int, of names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begins string) (found []string, _ cobra.ShellCompDirective) {
		if len(args) >= arguments || a.storeURL == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		_ = a.with(ctx, toRead, func(ad *admin.Admin) error { // a shell has no place for errors
			for name, err := range of(ctx, ad, args, begins) {
				if err != nil || len(found) == completionNames {
					return err
				}
				if strings.HasPrefix(name, begins) && !slices.Contains(found, name) {
					found = append(found, name)
				}
			}
			return nil
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func streamNames(ctx context.Context, ad *admin.Admin, _ []string, begins string) iter.Seq2[string, error] {
	r := store.StreamsRead{Limit: completionNames}
	if strings.Contains(begins, "-") {
		r.After = event.StreamID(begins) // what goes on from here; the very name needs no completion
	}
	return mapped(ad.Streams(ctx, r), func(s store.StreamInfo) string { return string(s.Stream) })
}

func subscriptionNames(ctx context.Context, ad *admin.Admin, _ []string, _ string) iter.Seq2[string, error] {
	return mapped(ad.Subscriptions().List(ctx), func(s subscription.Status) string { return s.Name })
}

func projectionNames(ctx context.Context, ad *admin.Admin, _ []string, _ string) iter.Seq2[string, error] {
	return mapped(ad.Projections().List(ctx), func(s projection.Status) string { return s.Name })
}

// sagaNames gives the names of sagas, and behind one the ids of its instances.
func sagaNames(ctx context.Context, ad *admin.Admin, args []string, _ string) iter.Seq2[string, error] {
	switch len(args) {
	case 0:
		return mapped(ad.Sagas().List(ctx, saga.Filter{Limit: 1000}), func(i saga.Instance) string { return i.Saga })
	case 1:
		return mapped(ad.Sagas().List(ctx, saga.Filter{Saga: args[0], Limit: 1000}), func(i saga.Instance) string { return i.ID })
	}
	return func(func(string, error) bool) {}
}

func letterIDs(ctx context.Context, ad *admin.Admin, _ []string, _ string) iter.Seq2[string, error] {
	return mapped(ad.DeadLetters().List(ctx, deadletter.Filter{Limit: completionNames}), func(l deadletter.Letter) string { return l.ID })
}

func mapped[T any](items iter.Seq2[T, error], name func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for item, err := range items {
			if !yield(name(item), err) {
				return
			}
		}
	}
}
