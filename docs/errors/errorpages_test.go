package errorpages_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	errorpages "lexigram.dev/events/docs/errors"
	"lexigram.dev/events/errcode"
)

func TestEachCodeHasAPageWithCauseAndCureAndALineInTheTable(t *testing.T) {
	table, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range errcode.List() {
		page, err := errorpages.Page(code)
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.HasPrefix(page, "# "+string(code)+": ") {
			t.Errorf("the page of %s begins otherwise", code)
		}
		for _, part := range []string{"Carried by: ", "\n## Cause\n\n", "\n## Cure\n\n"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page of %s has no %q", code, strings.TrimSpace(part))
			}
		}
		if !strings.Contains(string(table), "| ["+string(code)+"]("+string(code)+".md) |") {
			t.Errorf("%s is not in the table of README.md", code)
		}
	}
}

func TestEachPageHasACode(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, isPage := strings.CutSuffix(f.Name(), ".md")
		if !isPage || name == "README" {
			continue
		}
		if code, ok := errcode.Parse(name); !ok || string(code) != name {
			t.Errorf("%s is the page of no code", f.Name())
		}
	}
	if _, err := errorpages.Page("LEX_ERR_EVT_999"); err == nil {
		t.Error("a code that is none has a page")
	}
}

func Example() {
	page, err := errorpages.Page(errcode.Conflict)
	title, _, _ := strings.Cut(page, "\n")
	fmt.Println(title, err)
	// Output: # LEX_ERR_EVT_004: a stream, the log or a record is not as was expected <nil>
}
