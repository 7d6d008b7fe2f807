package deadletter

import (
	"fmt"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/store"
)

// ErrBehind is the error for a letter that waits behind another of its sequence, which must be dealt with first. The text
// names it.
var ErrBehind = errcode.New(errcode.LetterBehind, "waits behind another letter of its sequence")

// invalid makes an error of the kind store.ErrInvalid.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", store.ErrInvalid, fmt.Errorf(format, args...))
}

// changed is the error for a letter that is not any more as the caller has seen it.
func changed(id string, seen, found store.Revision) error {
	return &store.RevisionError{Bucket: lettersBucket, Key: id, Expected: seen, Actual: found}
}
