package main

import (
	"errors"
	"strings"
	"testing"
)

func TestTheStoryEndsAsItShould(t *testing.T) {
	var story strings.Builder
	if err := tell(t.Context(), &story); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"ada → bob 300.00: completed",
		"ada → eve 200.00: compensated",
		"bob → ada 1400.00: compensated",
		"bob → cleo 900.00: completed",
		"cleo → dan 600.00: compensated",
		"All accounts together hold 45000.00.",
	} {
		if !strings.Contains(story.String(), line) {
			t.Errorf("the story lacks %q", line)
		}
	}
	if t.Failed() {
		t.Log(story.String())
	}
}

func TestAMoveThatWasTakenBackIsRefusedWhenItArrivesLate(t *testing.T) {
	account := func() *Account {
		a := &Account{}
		if err := a.Apply(Opened{Cents: 100}); err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := account()
	for _, change := range []any{Moved{Key: "k", Cents: -30}, Reversed{Key: "k", Cents: 30}} {
		if err := a.Apply(change); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Move("k", -30); !errors.Is(err, ErrTakenBack) {
		t.Errorf("a move after its reversal gave %v", err)
	}
	if a.balance != 100 {
		t.Errorf("the balance is %d", a.balance)
	}
}
