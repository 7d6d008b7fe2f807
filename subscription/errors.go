package subscription

import "errors"

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrFenced: another owner has taken the partition over.
	ErrFenced = errors.New("taken over by another owner")
	// ErrCheckpoint: the stored checkpoint cannot be used; it is never taken for "start at 0".
	ErrCheckpoint = errors.New("unusable checkpoint")
	// ErrRunning: the subscription runs already.
	ErrRunning = errors.New("running already")
	// ErrFaulted: the subscription has stopped at an event that failed for good.
	ErrFaulted = errors.New("stopped at a failed event")
)
