package query_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lexigram.dev/events/query"
)

type balanceOf struct{ Account string }

func TestAQueryIsAnsweredAndCalledAQueryInErrors(t *testing.T) {
	bus := query.NewBus(query.Options{})
	_, err := query.Dispatch[int](t.Context(), bus, balanceOf{})
	if !errors.Is(err, query.ErrNoHandler) || !strings.Contains(err.Error(), "dispatch query query_test.balanceOf") {
		t.Errorf("got %v", err)
	}
	answer := func(context.Context, balanceOf) (int, error) { return 7, nil }
	if err = errors.Join(bus.Use(func(next query.Next) query.Next { return next }), query.Handle(bus, answer)); err != nil {
		t.Fatal(err)
	}
	if err = query.Handle(bus, answer); !errors.Is(err, query.ErrDuplicateHandler) {
		t.Errorf("got %v", err)
	}
	d, err := query.Resolve[balanceOf, int](bus)
	if err != nil {
		t.Fatal(err)
	}
	static, _ := query.Dispatch[int](t.Context(), bus, balanceOf{})
	resolved, _ := d.Dispatch(t.Context(), balanceOf{})
	dynamic, _ := bus.Dispatch(t.Context(), balanceOf{})
	if static != 7 || resolved != 7 || dynamic != 7 {
		t.Errorf("got %d, %d, %v", static, resolved, dynamic)
	}
	if names := bus.Names(); len(names) != 1 || names[0] != "query_test.balanceOf" {
		t.Errorf("names are %q", names)
	}
}

func Example() {
	bus := query.NewBus(query.Options{})
	balances := map[string]int{"ada": 12}
	err := query.Handle(bus, func(_ context.Context, q balanceOf) (int, error) { return balances[q.Account], nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(query.Dispatch[int](context.Background(), bus, balanceOf{Account: "ada"}))
	// Output: 12 <nil>
}
