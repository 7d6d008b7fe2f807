package fieldtags_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"lexigram.dev/events/command"
	"lexigram.dev/events/middleware"
	"lexigram.dev/events/middleware/fieldtags"
)

type line struct {
	SKU   string `json:"sku"   validate:"required,article"`
	Count int    `json:"count" validate:"min=1,max=99"`
}

type order struct {
	Email string `json:"email"           validate:"email"`
	Lines []line `json:"lines,omitempty" validate:"required,dive"`
	Note  string
}

func article(value any) bool { return value.(string) != "forbidden" }

func TestAllFieldsAreReportedByTheirNamesInJSON(t *testing.T) {
	validate, err := fieldtags.New(map[string]func(any) bool{"article": article})
	if err != nil {
		t.Fatal(err)
	}
	step := middleware.Validate(validate)
	b := command.NewBus(command.Options{})
	err = errors.Join(b.Use(middleware.Commands(step)),
		command.Handle(b, func(context.Context, order) (command.None, error) { return command.None{}, nil }),
		command.Handle(b, func(context.Context, *order) (command.None, error) { return command.None{}, nil }),
		command.Handle(b, func(context.Context, string) (command.None, error) { return command.None{}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	bad := order{Email: "ada", Lines: []line{{SKU: "a", Count: 1}, {Count: 100}, {SKU: "forbidden", Count: 1}}}
	for _, payload := range []any{bad, &bad} {
		_, err = b.Dispatch(t.Context(), payload)
		var invalid *middleware.ValidationError
		if !errors.As(err, &invalid) {
			t.Fatalf("got %v", err)
		}
		want := []middleware.FieldError{
			{Field: "email", Rule: "email", Text: "does not keep the rule email"},
			{Field: "lines[1].sku", Rule: "required", Text: "is required"},
			{Field: "lines[1].count", Rule: "max=99", Text: "does not keep the rule max=99"},
			{Field: "lines[2].sku", Rule: "article", Text: "does not keep the rule article"},
		}
		if !slices.Equal(invalid.Fields, want) {
			t.Errorf("got %+v", invalid.Fields)
		}
	}
	for _, fine := range []any{order{Email: "ada@example.com", Lines: []line{{"a", 1}}}, "no struct"} {
		if _, err := b.Dispatch(t.Context(), fine); err != nil {
			t.Error(err)
		}
	}
}

func TestARuleOfTheLibraryIsNotReplaced(t *testing.T) {
	if _, err := fieldtags.New(map[string]func(any) bool{"email": article}); err == nil {
		t.Error("it was")
	}
}

func Example() {
	validate, err := fieldtags.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	type rename struct {
		Name string `json:"name" validate:"required"`
	}
	fmt.Println(validate(context.Background(), rename{}))
	// Output: name: is required
}
