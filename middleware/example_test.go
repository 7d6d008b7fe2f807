package middleware_test

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/command"
	"lexigram.dev/events/middleware"
)

type Book struct {
	Room   string `json:"room"`
	Guests int    `json:"guests"`
}

func (b Book) Validate() error {
	if b.Guests < 1 {
		return middleware.FieldError{Field: "guests", Rule: "min", Text: "must be at least 1"}
	}
	return nil
}

func Example() {
	bus := command.NewBus(command.Options{})
	retry, err := middleware.Retry(middleware.RetryOptions{})
	err = errors.Join(err,
		bus.Use(middleware.Commands(middleware.Validate(), retry)),
		command.Handle(bus, func(_ context.Context, b Book) (string, error) { return "booked " + b.Room, nil }))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(command.Dispatch[string](context.Background(), bus, Book{Room: "7", Guests: 2}))
	_, err = command.Dispatch[string](context.Background(), bus, Book{Room: "7"})
	fmt.Println(err)
	// Output:
	// booked 7 <nil>
	// command middleware_test.Book: invalid: guests: must be at least 1
}
