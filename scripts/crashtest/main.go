// Command crashtest proves that an import survives kill -9: it kills the importing process at random moments, verifies
// the store after each, lets a last run finish, and compares the log with that of an import in one piece.
//
//	go run ./scripts/crashtest [-kills 20] [-events 50000] [-store URL]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t := &crashtest{}
	flag.IntVar(&t.kills, "kills", 20, "how often to kill the importer")
	flag.IntVar(&t.events, "events", 50_000, "events to import")
	flag.StringVar(&t.store, "store", "", "URL of an empty, migrated store (default: a SQLite file in a temporary folder)")
	flag.Parse()
	if t.kills < 1 || t.events < 1000*(t.kills+1) {
		fmt.Fprintln(os.Stderr, "crashtest: need at least one kill, and 1,000 -events for each and one more")
		os.Exit(2)
	}
	if err := t.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "crashtest: FAILED:", err)
		os.Exit(1)
	}
}

type crashtest struct {
	kills, events int
	store         string
	program       string // the built lexevents
	input         string
}

func (t *crashtest) run(ctx context.Context) (err error) {
	folder, err := os.MkdirTemp("", "crashtest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	t.program, t.input = filepath.Join(folder, "lexevents"), filepath.Join(folder, "input.jsonl")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", t.program, "lexigram.dev/events/cmd/lexevents").CombinedOutput(); err != nil {
		return fmt.Errorf("build lexevents: %w: %s", err, out)
	}
	if err := generate(t.input, t.events); err != nil {
		return err
	}
	if t.store == "" {
		t.store = "sqlite:" + filepath.Join(folder, "crashed.db")
		if _, err := t.lexevents(ctx, t.store, "migrate", "up"); err != nil {
			return err
		}
	}
	whole := "sqlite:" + filepath.Join(folder, "whole.db")
	if err := t.uninterrupted(ctx, whole); err != nil {
		return err
	}
	if err := t.crash(ctx); err != nil {
		return err
	}
	out, err := t.lexevents(ctx, t.store, "import", t.input)
	if err != nil {
		return err
	}
	fmt.Println("last run:  ", strings.TrimSpace(out))
	if out, err = t.lexevents(ctx, t.store, "verify"); err != nil {
		return err
	}
	fmt.Println("verify:    ", strings.TrimSpace(out))
	if err := t.same(ctx, whole, t.store); err != nil {
		return err
	}
	fmt.Printf("crashtest: ok: killed %d times in mid-import, verified after each; the log equals that of an import in one piece: no loss, no doubles\n", t.kills)
	return nil
}

// lexevents runs the program to its end, and gives what it printed.
func (t *crashtest) lexevents(ctx context.Context, store string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, t.program, append(args, "--store", store)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("lexevents %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
