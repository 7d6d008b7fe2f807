package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/store"
)

func (a *app) deadLetters() *cobra.Command {
	return group("deadletters", "List, retry, edit and discard what could not be handled",
		a.listLetters(), a.showLetter(), a.retryLetters(), a.editLetter(), a.discardLetters(), a.purgeLetters())
}

// letterFlags are the flags that select letters.
func letterFlags(cmd *cobra.Command, f *deadletter.Filter) {
	cmd.Flags().StringVar(&f.Source, "source", "", "only of this source, such as subscription/mailer; projection/ means all projections")
	cmd.Flags().StringVar(&f.Sequence, "stream", "", "only of this stream or key")
	cmd.Flags().StringVar(&f.Type, "type", "", "only of this event type")
	cmd.Flags().StringVar((*string)(&f.State), "state", "", "only in this state: parked, waiting or requested")
}

func (a *app) listLetters() *cobra.Command {
	var (
		f         deadletter.Filter
		countOnly bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if err := errors.Join(notNegative("limit", f.Limit), checkState(f.State)); err != nil {
				return err
			}
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				if countOnly {
					return a.countLetters(ctx, ad, f)
				}
				return a.printLetters(ctx, ad, f)
			})
		}),
	}
	letterFlags(cmd, &f)
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "at most so many (0: all)")
	cmd.Flags().BoolVar(&countOnly, "count", false, "only say how many")
	return cmd
}

func checkState(s deadletter.State) error {
	switch s {
	case "", deadletter.StateParked, deadletter.StateWaiting, deadletter.StateRequested:
		return nil
	}
	return usagef("--state %q: must be parked, waiting or requested", s)
}

func (a *app) countLetters(ctx context.Context, ad *admin.Admin, f deadletter.Filter) error {
	n, err := ad.DeadLetters().Count(ctx, f)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]int{"count": n})
	}
	_, err = fmt.Fprintln(a.stdout, plural(n, "dead letter"))
	return err
}

func (a *app) printLetters(ctx context.Context, ad *admin.Admin, f deadletter.Filter) error {
	return show(a, ad.DeadLetters().List(ctx, f), "no dead letters",
		[]string{"ID", "STATE", "TYPE", "ATTEMPTS", "LAST FAILED", "ERROR"},
		func(l deadletter.Letter) []any {
			return []any{l.ID, l.State, letterType(&l), l.Attempts, moment(l.LastFailedAt), short(l.Error)}
		})
}

func letterType(l *deadletter.Letter) string {
	switch {
	case l.Event != nil:
		return l.Event.Type
	case l.Message != nil:
		return l.Message.Headers["ce-type"]
	}
	return ""
}

func (a *app) showLetter() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one dead letter whole", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				letter, err := ad.DeadLetters().Get(ctx, args[0])
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(letter)
				}
				return a.printLetter(&letter)
			})
		}),
	}
}

func (a *app) printLetter(l *deadletter.Letter) error {
	rows := []any{"id", l.ID, "source", l.Source, "state", l.State, "type", letterType(l)}
	if l.Sequence != "" {
		rows = append(rows, "sequence", l.Sequence)
	}
	rows = append(rows, "attempts", l.Attempts, "first failed", moment(l.FirstFailedAt), "last failed", moment(l.LastFailedAt), "edited", l.Edited)
	body := ""
	switch {
	case l.Event != nil:
		rows = append(rows, "stream", fmt.Sprintf("%s, version %d, position %d", l.Event.Stream, l.Event.Version, l.Event.Position),
			"metadata", string(l.Event.RawMetadata))
		body = string(l.Event.Data)
	case l.Message != nil:
		rows = append(rows, "message", l.Message.ID, "topic", l.Message.Topic, "key", l.Message.Key)
		body = string(l.Message.Body)
	}
	if err := fields(a.stdout, rows...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "\nerror\n  %s\n\ndata\n  %s\n", strings.ReplaceAll(printable(l.Error), "\n", "\n  "), printable(body))
	return err
}

func (a *app) retryLetters() *cobra.Command {
	var (
		f    deadletter.Filter
		wait time.Duration
	)
	cmd := &cobra.Command{
		Use: "retry [ID...]", Short: "Have the handler that failed try again",
		Long: "retry asks the program that runs the source to handle the letters again, through the handler that failed and no\n" +
			"other. It does so within its poll interval; --wait waits for the outcome.",
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toChange, func(ad *admin.Admin) error {
				ids, err := chosen(ctx, ad, args, f)
				if err != nil {
					return err
				}
				for _, id := range ids {
					if err := ad.DeadLetters().Retry(ctx, id); err != nil {
						return err
					}
				}
				if wait == 0 {
					return a.done("dead letters", plural(len(ids), "letter"), "retry requested; the program that runs the source will see it")
				}
				return a.awaitRetries(ctx, ad, ids, wait)
			})
		}),
	}
	letterFlags(cmd, &f)
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait so long for the outcome (0: do not wait)")
	return cmd
}

// chosen gives the ids that are named, or those that the filter selects; one of the two is needed.
func chosen(ctx context.Context, ad *admin.Admin, args []string, f deadletter.Filter) ([]string, error) {
	if (f == deadletter.Filter{}) == (len(args) == 0) {
		return nil, usagef("say which: either ids, or a filter such as --source subscription/mailer")
	}
	if err := checkState(f.State); err != nil || len(args) > 0 {
		return args, err
	}
	var ids []string
	for letter, err := range ad.DeadLetters().List(ctx, f) {
		if err != nil {
			return nil, err
		}
		if letter.State != deadletter.StateWaiting || f.State == deadletter.StateWaiting { // those follow the one in front
			ids = append(ids, letter.ID)
		}
	}
	return ids, nil
}

// awaitRetries waits until each letter is gone, or parked again.
func (a *app) awaitRetries(ctx context.Context, ad *admin.Admin, ids []string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	bar := a.progress("retry", int64(len(ids)), false)
	defer bar.end()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	failed := 0
	for i, id := range ids {
		for {
			letter, err := ad.DeadLetters().Get(ctx, id)
			if errors.Is(err, store.ErrNotFound) {
				break
			}
			if err != nil {
				return err
			}
			if letter.State == deadletter.StateParked {
				failed++
				fmt.Fprintf(a.stderr, "%s: failed again: %s\n", id, short(letter.Error))
				break
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return fmt.Errorf("retry %s: not handled within %v: does a program with its source run?", id, wait)
			}
		}
		bar.at(int64(i+1), int64(len(ids)))
	}
	if failed > 0 {
		return fmt.Errorf("retry: %s of %d failed again", plural(failed, "letter"), len(ids))
	}
	return a.done("dead letters", plural(len(ids), "letter"), "handled")
}

func (a *app) editLetter() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "edit ID", Short: "Replace the data of a letter and have it retried; the log is not changed", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			body, err := a.readData(data)
			if err != nil {
				return err
			}
			return a.with(ctx, toChange, func(ad *admin.Admin) error {
				if err := ad.DeadLetters().Edit(ctx, args[0], body); err != nil {
					return err
				}
				return a.done("dead letter", args[0], "edited, retry requested")
			})
		}),
	}
	cmd.Flags().StringVar(&data, "data", "", "the new data: the text itself, or @file, or @- for standard input (needed)")
	if err := cmd.MarkFlagRequired("data"); err != nil {
		panic(err) // the flag was defined above
	}
	return cmd
}

func (a *app) discardLetters() *cobra.Command {
	var f deadletter.Filter
	cmd := &cobra.Command{
		Use: "discard [ID...]", Short: "Remove dead letters for good",
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toChange, func(ad *admin.Admin) error {
				ids, err := chosen(ctx, ad, args, f)
				if err != nil {
					return err
				}
				for _, id := range ids {
					if err := ad.DeadLetters().Discard(ctx, id); err != nil {
						return err
					}
				}
				return a.done("dead letters", plural(len(ids), "letter"), "discarded")
			})
		}),
	}
	letterFlags(cmd, &f)
	return cmd
}

func (a *app) purgeLetters() *cobra.Command {
	var olderThan time.Duration
	cmd := &cobra.Command{
		Use: "purge", Short: "Discard all parked letters that failed long ago", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, _ []string) error {
			if olderThan <= 0 {
				return usagef("--older-than %v: must be positive, for example 720h", olderThan)
			}
			return a.with(ctx, toChange, func(ad *admin.Admin) error {
				n, err := ad.DeadLetters().Purge(ctx, time.Now().Add(-olderThan))
				if err != nil {
					return err
				}
				return a.done("dead letters", plural(n, "letter"), "discarded")
			})
		}),
	}
	cmd.Flags().DurationVar(&olderThan, "older-than", 0, "how long ago the last attempt must be (needed)")
	if err := cmd.MarkFlagRequired("older-than"); err != nil {
		panic(err) // the flag was defined above
	}
	return cmd
}
