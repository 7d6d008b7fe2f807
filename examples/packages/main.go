// Command packages is the machine's own package history as an event-sourced system: it turns each line of dpkg's log
// into a command, lets a Package aggregate accept or refuse it, appends what is accepted to an event store, and answers
// questions from the events alone. README.md tells how to run it.
//
// It must not know a backend: it opens the one that the store URL names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errHelp: help was asked for.
var errHelp = errors.New("help")

// settings are the flags.
type settings struct {
	logs    []string
	store   string
	at      time.Time // zero: not asked
	pkg     string
	json    bool
	quiet   bool
	workers int
}

const usage = `packages reads dpkg's log into an event store and answers questions from the events.

Usage: packages [flags]

  --log FILE      a log to read, plain or gzip; may be repeated. Default: /var/log/dpkg.log and its rotations,
                  or the sample that ships with the program where there are none
  --store URL     where the events are kept. Default: sqlite:.demo/packages.db
  --at TIME       also tell what was installed then: "2006-01-02", "2006-01-02 15:04:05" or RFC 3339
  --package NAME  also tell the history of one package, such as curl or curl:amd64
  --workers N     how many packages to process at once. Default: 32
  --json          print everything as one JSON object
  --quiet         print one line and no progress bar

Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage.
`

func parseFlags(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("packages", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("log", "", func(v string) error {
		if v == "" {
			return errors.New("the name is empty")
		}
		s.logs = append(s.logs, v)
		return nil
	})
	flags.StringVar(&s.store, "store", "sqlite:.demo/packages.db", "")
	flags.StringVar(&s.pkg, "package", "", "")
	flags.IntVar(&s.workers, "workers", 32, "")
	flags.BoolVar(&s.json, "json", false, "")
	flags.BoolVar(&s.quiet, "quiet", false, "")
	flags.Func("at", "", func(v string) (err error) { s.at, err = parseMoment(v); return err })
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return s, errHelp
	case err != nil:
		return s, err
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.workers < 1 || s.workers > 1024:
		return s, fmt.Errorf("--workers %d: must be 1 to 1024", s.workers)
	case s.json && s.quiet:
		return s, errors.New("--json and --quiet exclude each other")
	}
	return s, nil
}

// parseMoment reads a time as the log writes it, or in RFC 3339. A date alone means the end of that day.
func parseMoment(v string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, v); err == nil {
		return t.Add(24*time.Hour - time.Microsecond), nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New(`want "2006-01-02", "2006-01-02 15:04:05" or RFC 3339`)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseFlags(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, usage)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "packages: %s (--help lists the flags)\n", oneLine(err))
		return exitUsage
	}
	if err := execute(ctx, s, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "packages: %s\n", oneLine(err))
		return exitFailed
	}
	return exitOK
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// execute does the job: read, import, ask, prove, tell.
func execute(ctx context.Context, s settings, stdout, stderr io.Writer) (err error) {
	book, err := openLog(s.logs)
	if err != nil {
		return err
	}
	registry, err := newRegistry()
	if err != nil {
		return err
	}
	events, err := openStore(ctx, s.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, events.Close()) }()

	bar := newProgress(stderr, len(book.Entries), s.quiet || s.json)
	in, err := newImporter(events, registry, book, s.workers)
	if err != nil {
		return err
	}
	sum, err := in.run(ctx, bar.step)
	bar.done()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: the events of %s were appended and stay, %s were there already; run it again to complete", plural(sum.New, "line"), plural(sum.AlreadyThere, "line"))
	}
	if err != nil {
		return err
	}
	r, err := ask(ctx, s, events, registry, book, in, sum)
	if err != nil {
		return err
	}
	if err := r.print(stdout, s); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if !r.Proof.OK {
		return errors.New("FAILED: the state rebuilt from the events differs from the state kept while writing")
	}
	return nil
}
