package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) man(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages, one for each command", Args: cobra.ExactArgs(1),
		Long: "man writes manual pages into a folder, which it makes if need be: lexevents man /usr/local/share/man/man1",
		RunE: a.action(func(_ context.Context, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("man: %w", err)
			}
			root.DisableAutoGenTag = true // no date: the same program writes the same pages
			if err := doc.GenManTree(root, &doc.GenManHeader{Title: "LEXEVENTS", Section: "1", Source: "Lexigram Events", Manual: "Lexigram Events"}, args[0]); err != nil {
				return fmt.Errorf("man: %w", err)
			}
			return nil
		}),
	}
}
