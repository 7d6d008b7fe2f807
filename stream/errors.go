package stream

import "lexigram.dev/events/errcode"

// The kinds of errors. Test for them with errors.Is.
var (
	// ErrSlow: the subscriber took nothing for too long while its buffer was full. Subscribe again after the last position.
	ErrSlow = errcode.New(errcode.Streaming, "slow subscriber")
	// ErrTooMany: there are as many subscribers as Options.MaxSubscribers allows.
	ErrTooMany = errcode.New(errcode.Streaming, "too many subscribers")
	// ErrClosed: the subscription was closed, or the feed has ended.
	ErrClosed = errcode.New(errcode.Closed, "closed")
	// ErrRunning: the feed runs already, or has run; it runs once.
	ErrRunning = errcode.New(errcode.Running, "the feed was started already")
)
