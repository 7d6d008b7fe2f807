package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

func (a *app) append() *cobra.Command {
	var (
		e                event.Pending
		data, expect, id string
		tags             []string
	)
	cmd := &cobra.Command{
		Use: "append STREAM", Short: "Append one event by hand", Args: cobra.ExactArgs(1),
		Example: `  lexevents append order-7 --type order.placed --data '{"total": 995}' --expect none`,
		RunE: a.action(func(ctx context.Context, args []string) error {
			expected, err := parseExpected(expect)
			if err != nil {
				return err
			}
			if id != "" {
				if e.ID, err = event.ParseID(id); err != nil {
					return usagef("--id: %v", err)
				}
			}
			for _, tag := range tags {
				e.Tags = append(e.Tags, event.Tag(tag))
			}
			if e.Data, err = a.readData(data); err != nil {
				return err
			}
			// Before an embedded store is created for nothing.
			if err := cmp.Or(event.StreamID(args[0]).Validate(), admin.CheckJSON(e.Data)); err != nil {
				return fmt.Errorf("append stream %s: %w", args[0], err)
			}
			return a.with(ctx, toWrite, func(ad *admin.Admin) error {
				appended, err := ad.AppendJSON(ctx, event.StreamID(args[0]), expected, e)
				if err != nil {
					return err
				}
				return a.showAppended(appended)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&e.Type, "type", "", "type of the event, such as order.placed (needed)")
	f.StringVar(&data, "data", "", "the data: JSON, or @file, or @- for standard input (needed)")
	f.StringVar(&expect, "expect", "any", "what the stream must be: any, none, exists, or at a version")
	f.StringArrayVar(&tags, "tag", nil, "a tag, such as course:go101 (may be repeated)")
	f.StringVar(&id, "id", "", "the event's id, a UUID; appending the same again changes nothing (default: a new one)")
	f.IntVar(&e.SchemaVersion, "schema-version", 1, "version of the shape of the data")
	f.StringVar(&e.Metadata.Actor, "actor", "", "who did it")
	f.StringVar(&e.Metadata.CorrelationID, "correlation", "", "the conversation that the event belongs to")
	for _, needed := range []string{"type", "data"} {
		if err := cmd.MarkFlagRequired(needed); err != nil {
			panic(err) // the flag was defined above
		}
	}
	return cmd
}

func parseExpected(s string) (store.Expected, error) {
	switch s {
	case "any":
		return store.Any(), nil
	case "none":
		return store.NoStream(), nil
	case "exists":
		return store.StreamExists(), nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 {
		return store.Expected{}, usagef("--expect %q: must be any, none, exists or a version of 0 or more", s)
	}
	return store.Exactly(event.Version(v)), nil
}

// readData gives the text itself, or what the file after an @ holds.
func (a *app) readData(s string) ([]byte, error) {
	path, isFile := strings.CutPrefix(s, "@")
	switch {
	case !isFile:
		return []byte(s), nil
	case path == "-":
		return io.ReadAll(a.stdin)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	return data, nil
}

func (a *app) showAppended(r admin.Appended) error {
	if a.json {
		return a.printJSON(r)
	}
	verb := "appended"
	if r.Duplicate {
		verb = "already there:"
	}
	_, err := fmt.Fprintf(a.stdout, "%s event %s: stream %s, version %d, position %d\n", verb, r.ID, r.Stream, r.Version, r.Position)
	return err
}
