package command_test

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/command"
)

type Rename struct{ ID, Name string }

func Example() {
	bus := command.NewBus(command.Options{})
	logging := func(next command.Next) command.Next {
		return func(ctx context.Context, m command.Message) error {
			err := next(ctx, m)
			fmt.Printf("%s: %v\n", m.Name(), err)
			return err
		}
	}
	rename := func(_ context.Context, c Rename) (string, error) {
		if c.Name == "" {
			return "", errors.New("a name is needed")
		}
		return c.ID + " is now " + c.Name, nil
	}
	if err := errors.Join(bus.Use(logging), command.Handle(bus, rename)); err != nil {
		fmt.Println(err)
		return
	}
	answer, err := command.Dispatch[string](context.Background(), bus, Rename{ID: "7", Name: "Ada"})
	fmt.Println(answer, err)
	// Output:
	// command_test.Rename: <nil>
	// 7 is now Ada <nil>
}
