package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	errorpages "lexigram.dev/events/docs/errors"
	"lexigram.dev/events/errcode"
)

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use: "explain CODE", Short: "Tell the cause and the cure of an error, by its code", Args: cobra.ExactArgs(1),
		Long: "explain prints the page of an error code, such as LEX_ERR_EVT_013 or just 13: what it means, what causes it and what to do.\n" +
			"lexevents ends its errors with their codes.",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			for _, c := range errcode.List() {
				codes = append(codes, c.Number())
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.action(func(_ context.Context, args []string) error {
			code, ok := errcode.Parse(args[0])
			if !ok {
				return usagef("explain %s: there is no such code; see docs/errors, or the end of an error's line", args[0])
			}
			page, err := errorpages.Page(code)
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(map[string]string{"code": string(code), "docs": code.Page(), "page": page})
			}
			_, err = fmt.Fprint(a.stdout, page)
			return err
		}),
	}
}
