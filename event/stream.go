package event

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// StreamID names a stream: a category, a dash and an id, such as "order-7" or "order-eu-7". The category is all before
// the first dash; the id is all after it and may hold any further dashes.
type StreamID string

// Version is a place in a stream. The first event is 1; 0 means "before the first".
type Version int64

// Position is a place in the whole log. The first event is 1; 0 means "before the first". Positions are given out
// without gaps, in the order in which events become visible.
type Position int64

// NewStreamID joins a category and an id, and checks both as [StreamID.Validate] does.
func NewStreamID(category, id string) (StreamID, error) {
	if strings.Contains(category, "-") {
		return "", fmt.Errorf("stream category %q: must not contain %q, which ends the category", category, "-")
	}
	s := StreamID(category + "-" + id)
	return s, s.Validate()
}

// Category is the part before the first dash; all of it where there is no dash.
func (s StreamID) Category() string {
	category, _, _ := strings.Cut(string(s), "-")
	return category
}

// Key is the part after the first dash: the id within the category.
func (s StreamID) Key() string {
	_, key, _ := strings.Cut(string(s), "-")
	return key
}

// Validate reports why the name is not of the form category-id. Length is a limit of the store, not of the name.
func (s StreamID) Validate() error {
	category, key, found := strings.Cut(string(s), "-")
	if !found || category == "" || key == "" {
		return fmt.Errorf("stream name %q: must have the form category-id, such as order-7", string(s))
	}
	if err := ValidateName(string(s)); err != nil {
		return fmt.Errorf("stream name %q: %w", string(s), err)
	}
	return nil
}

// ValidateName is the rule that stream names, type names and tags share: valid UTF-8 without control characters.
// A NUL or a broken byte would be stored by one backend and refused, or changed, by another.
func ValidateName(name string) error {
	if name == "" {
		return errors.New("must not be empty")
	}
	for i := range len(name) {
		if c := name[i]; c < 0x20 || c >= 0x7f {
			return validateRunes(name)
		}
	}
	return nil
}

// validateRunes is ValidateName for what is not plain ASCII.
func validateRunes(name string) error {
	for i, r := range name {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(name[i:]); size == 1 {
				return fmt.Errorf("byte %d is not valid UTF-8", i)
			}
		}
		if r < 0x20 || r >= 0x7f && unicode.IsControl(r) {
			return fmt.Errorf("holds the control character %U at byte %d", r, i)
		}
	}
	return nil
}
