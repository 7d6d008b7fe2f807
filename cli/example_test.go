package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"lexigram.dev/events/cli"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/sqlitestore"
)

type Placed struct {
	Lines int `json:"lines"`
}

// A program that links one backend, and its own event types for verify.
func Example() {
	registry := schema.NewRegistry()
	if err := schema.Register[Placed](registry, "order.placed", schema.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	commands := cli.New(cli.Options{
		Drivers:  []store.Driver{sqlitestore.Driver()},
		Registry: registry,
	})
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	for _, args := range [][]string{
		{"append", "order-7", "--type", "order.placed", "--data", `{"lines": 2}`, "--id", "0197a000-0000-7000-8000-000000000001"},
		{"verify"},
	} {
		args = append(args, "--store", "sqlite:"+filepath.Join(folder, "events.db"))
		if code := commands.Run(context.Background(), args, os.Stdin, os.Stdout, os.Stdout); code != 0 {
			return
		}
	}
	// Output:
	// appended event 0197a000-0000-7000-8000-000000000001: stream order-7, version 1, position 1
	// ok: 1 event in 1 stream up to position 1: positions gapless, versions contiguous, ids unique, all decodable
}
