package errcode_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"lexigram.dev/events/errcode"
)

func TestCodesAreUniqueAndOfOneForm(t *testing.T) {
	form := regexp.MustCompile(`^LEX_ERR_EVT_\d{3}$`)
	list := errcode.List()
	for i, code := range list {
		if !form.MatchString(string(code)) {
			t.Errorf("%q is no code", code)
		}
		if i > 0 && list[i-1] >= code {
			t.Errorf("%s does not come after %s", code, list[i-1])
		}
	}
}

func TestACodeIsFoundThroughWrappingAndTheOutermostIsFirst(t *testing.T) {
	inner := errcode.New(errcode.StoreUnavailable, "down")
	err := fmt.Errorf("relay: %w", errcode.With(errcode.PublishFailed, errors.Join(errors.New("plain"), fmt.Errorf("x: %w", inner), inner)))
	if code, ok := errcode.Of(err); !ok || code != errcode.PublishFailed {
		t.Errorf("got %q, %v", code, ok)
	}
	if got := errcode.All(err); !slices.Equal(got, []errcode.Code{errcode.PublishFailed, errcode.StoreUnavailable}) {
		t.Errorf("got %v", got)
	}
	var c errcode.Coded
	if !errors.As(err, &c) || !errors.Is(err, inner) {
		t.Error("wrapping hides it")
	}
	if err.Error() != "relay: plain\nx: down\ndown" {
		t.Errorf("the text has changed: %q", err)
	}
}

func TestWhatHasNoCodeGetsNone(t *testing.T) {
	if code, ok := errcode.Of(errors.New("plain")); ok || code != "" {
		t.Errorf("got %q", code)
	}
	if code, ok := errcode.Of(nil); ok || code != "" || errcode.All(nil) != nil || errcode.With(errcode.Conflict, nil) != nil {
		t.Error("nil has a code")
	}
}

func TestSentinelsOfOneCodeAndTextAreDifferentErrors(t *testing.T) {
	a, b := errcode.New(errcode.Timeout, "timed out"), errcode.New(errcode.Timeout, "timed out")
	if errors.Is(a, b) {
		t.Error("they are the same")
	}
}

func TestPeopleWriteCodesInSeveralWays(t *testing.T) {
	for text, want := range map[string]errcode.Code{
		"LEX_ERR_EVT_004": errcode.Conflict, "lex_err_evt_004": errcode.Conflict, "4": errcode.Conflict, "101": errcode.Invalid,
		"": "", "0": "", "024": "", "999": "", "conflict": "", "0004": "",
	} {
		code, ok := errcode.Parse(text)
		if ok != (want != "") || ok && code != want {
			t.Errorf("%q: got %q, %v", text, code, ok)
		}
	}
}

func Example() {
	errStock := errcode.New(errcode.Invalid, "not in stock")
	err := fmt.Errorf("order 7: %w", errStock)
	code, ok := errcode.Of(err)
	fmt.Println(code, ok, code.Page())
	// Output: LEX_ERR_EVT_101 true docs/errors/LEX_ERR_EVT_101.md
}
