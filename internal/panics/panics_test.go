package panics_test

import (
	"errors"
	"strings"
	"testing"

	"lexigram.dev/events/internal/panics"
)

func TestAPanicKeepsItsValueAndStack(t *testing.T) {
	cause := errors.New("boom")
	for value, is := range map[any]bool{cause: true, "boom": false} {
		var err *panics.Error
		func() {
			defer func() { err = panics.New("the test", recover()) }()
			panic(value)
		}()
		if err.Error() != "the test: panic: boom" || err.Value != value {
			t.Errorf("error is %q, value %v", err, err.Value)
		}
		if errors.Is(err, cause) != is {
			t.Errorf("errors.Is of %v is %v", value, !is)
		}
		if !strings.Contains(string(err.Stack), "TestAPanicKeepsItsValueAndStack") {
			t.Errorf("the stack does not show where it happened:\n%s", err.Stack)
		}
	}
}
