package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lexigram.dev/events/admin"
	"lexigram.dev/events/broker"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// storeVariable names the store where --store does not.
const storeVariable = "LEX_EVENTS_STORE"

// Options say what a program links the commands with.
type Options struct {
	// Drivers are the backends that --store can name: drivers.All(), or the few that the program needs. Defaults to
	// none, with which every store is unknown.
	Drivers []store.Driver

	// Baseline opens what bench measures the store of a URL against; nil where the backend has nothing to compare with.
	// Defaults to none: bench prints the store's own figures only.
	Baseline func(ctx context.Context, storeURL string) (admin.Baseline, error)

	// Brokers are those that --broker can name: drivers.Brokers(), or the few that the program needs. Defaults to none.
	Brokers []broker.Driver

	// BrokerBaseline is like Baseline, for bench publish and consume.
	BrokerBaseline func(ctx context.Context, brokerURL string) (admin.BrokerBaseline, error)

	// Registry holds the program's own event types: verify then decodes each event too, and schema guards their shapes.
	// Defaults to none.
	Registry *schema.Registry
}

// Commands are the commands of lexevents. They are safe for concurrent use.
type Commands struct{ options Options }

// New gives the commands.
func New(o Options) *Commands { return &Commands{options: o} }

// Run runs one command line, without the program's name, and gives its exit code: 0, 1 where it failed, 2 where the
// command line is wrong. It prints results to stdout, and errors and progress to stderr. Ending the context is Ctrl-C.
func (c *Commands) Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{Options: c.options, stdin: stdin, stdout: stdout, stderr: stderr, brokerURL: os.Getenv(brokerVariable)}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return a.complain(stderr, err, exitUsage, "lexevents: ", "")
	case !a.started:
		return a.complain(stderr, err, exitUsage, cmd.CommandPath()+": ", " (see: "+cmd.CommandPath()+" --help)")
	default:
		return a.complain(stderr, err, exitFailed, "lexevents: ", "")
	}
}

// app is one run of the program.
type app struct {
	Options
	stdin          io.Reader
	stdout, stderr io.Writer
	started        bool // the command line was understood

	storeURL  string
	brokerURL string
	json      bool

	configFile string // "": application.yaml, if it is here
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lexevents",
		Short: "Look into, fill, check and measure stores of events",
		Long: "lexevents works on a store of events that a URL names: memory:, sqlite:path/to/events.db or\n" +
			"postgres://user:password@host/database. Give it as --store or in " + storeVariable + ",\n" +
			"or in a configuration file: --config, or application.yaml here.\n" +
			"Brokers are named by --broker or " + brokerVariable + "; lexevents brokers lists them.\n\n" +
			"It prints tables for people; with --json one JSON object per line. It exits with 0, with 1 when it\n" +
			"failed, and with 2 when the command line is wrong.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&a.storeURL, "store", os.Getenv(storeVariable), "URL of the store")
	root.PersistentFlags().Lookup("store").DefValue = "$" + storeVariable
	root.PersistentFlags().StringVar(&a.configFile, "config", os.Getenv(configVariable), "configuration file that names store and broker where no URL is given (default application.yaml)")
	root.PersistentFlags().Lookup("config").DefValue = "$" + configVariable
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, one object per line")
	root.AddCommand(
		a.info(), a.streams(), a.read(), a.tail(), a.append(), a.imports(), a.export(), a.copy(), a.compare(), a.verify(), a.migrate(), a.bench(),
		a.subscriptions(), a.projections(), a.deadLetters(), a.sagas(), a.schedule(), a.outbox(), a.brokers(), a.schema(), a.config(),
	)
	root.AddCommand(a.doctor(), a.serve(), a.explain(), a.man(root))
	a.completeNames(root)
	return root
}

// action makes a command's function out of one that gets its arguments; from here on errors are not the command line's.
func (a *app) action(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		return do(cmd.Context(), args)
	}
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.Name()
	}
	g := &cobra.Command{
		Use: use, Short: short, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
					return usagef("%s: unknown command %q; did you mean %s? There is: %s", use, args[0], strings.Join(near, " or "), strings.Join(names, ", "))
				}
				return usagef("%s: unknown command %q; there is: %s", use, args[0], strings.Join(names, ", "))
			}
			return usagef("%s: say which: %s", use, strings.Join(names, ", "))
		},
	}
	g.AddCommand(commands...)
	return g
}

// usageError is a fault of the command line.
type usageError struct{ text string }

// Error implements error.
func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{text: fmt.Sprintf(format, args...)} }

// notNegative checks flags that count.
func notNegative[N ~int | ~int64](flag string, n N) error {
	if n < 0 {
		return usagef("--%s %d: must not be negative", flag, n)
	}
	return nil
}

// oneLine gives an error's text on one line, whoever made it.
func oneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	text := strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
	return strings.Replace(text, "; Did you mean this?; ", "; did you mean: ", 1) // cobra's
}
