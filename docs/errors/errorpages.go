// Package errorpages holds the page of each error code, so that a program can print it where no browser is. It knows
// nothing but the pages.
package errorpages

import (
	"embed"
	"fmt"

	"lexigram.dev/events/errcode"
)

//go:embed *.md
var pages embed.FS

// Page gives the page of a code, in Markdown.
func Page(code errcode.Code) (string, error) {
	text, err := pages.ReadFile(string(code) + ".md")
	if err != nil {
		return "", fmt.Errorf("error code %s has no page", code)
	}
	return string(text), nil
}
