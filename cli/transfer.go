package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/event"
)

func (a *app) imports() *cobra.Command {
	return &cobra.Command{
		Use: "import FILE.jsonl|-", Short: "Append events from lines of JSON, as export writes them", Args: cobra.ExactArgs(1),
		Long: "import appends the events of a file, or of standard input, one JSON object per line: \"stream\", \"id\" and\n" +
			"\"type\" are needed. Events whose id is there already are skipped, so that an import which was interrupted is\n" +
			"completed by running it again.",
		RunE: a.action(func(ctx context.Context, args []string) error {
			in, size, err := a.input(ctx, args[0])
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			defer in.Close()
			return a.with(ctx, toWrite, func(ad *admin.Admin) error { return a.doImport(ctx, ad, args[0], in, size) })
		}),
	}
}

// input opens a file, or standard input, whose reading ends with the context. The size is -1 where it is not known.
func (a *app) input(ctx context.Context, name string) (in io.ReadCloser, size int64, err error) {
	if name == "-" {
		r, w := io.Pipe()
		go func() {
			_, err := io.Copy(w, a.stdin)
			w.CloseWithError(err)
		}()
		context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
		return r, -1, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	size = info.Size()
	if !info.Mode().IsRegular() {
		size = -1
	}
	return f, size, nil
}

func (a *app) doImport(ctx context.Context, ad *admin.Admin, name string, in io.Reader, size int64) error {
	bar := a.progress("import", size, true)
	done, err := ad.Import(ctx, in, admin.Import{Progress: func(done admin.Imported) { bar.at(done.Bytes, size) }})
	bar.end()
	reached := fmt.Sprintf("%s appended, %s already there", plural(done.Appended, "event"), count(done.Present))
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("import %s: interrupted: %s; run it again to complete it", name, reached)
	case err != nil:
		return fmt.Errorf("import %s: %w (before it: %s)", name, err, reached)
	case a.json:
		return a.printJSON(done)
	}
	_, err = fmt.Fprintf(a.stdout, "imported %s: %s\n", name, reached)
	return err
}

func (a *app) export() *cobra.Command {
	var categories, types []string
	cmd := &cobra.Command{
		Use: "export [FILE]", Short: "Write the log as lines of JSON, to a file or standard output", Args: cobra.MaximumNArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.with(ctx, toRead, func(ad *admin.Admin) error {
				x := admin.Export{Filter: filter(categories, types)}
				if len(args) == 0 || args[0] == "-" {
					_, err := ad.Export(ctx, a.stdout, x)
					return err
				}
				return a.exportTo(ctx, ad, args[0], x)
			})
		}),
	}
	filterFlags(cmd, &categories, &types)
	return cmd
}

// exportTo writes beside the file and renames at the end, so that the file is whole or as it was.
func (a *app) exportTo(ctx context.Context, ad *admin.Admin, name string, x admin.Export) (err error) {
	partial := name + ".partial"
	f, err := os.Create(partial)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	bar := a.progress("export", -1, false)
	x.Progress = func(at, head event.Position) { bar.at(int64(at), int64(head)) }
	events, err := ad.Export(ctx, f, x)
	bar.end()
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	if err := os.Rename(partial, name); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if a.json {
		return a.printJSON(map[string]any{"file": name, "events": events})
	}
	_, err = fmt.Fprintf(a.stdout, "exported %s to %s\n", plural(events, "event"), name)
	return err
}
