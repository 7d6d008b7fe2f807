package groupcommit

import (
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Request is one append that waits for its answer.
type Request struct {
	// Commit is what to append. It may be read until the batch is Released or finished.
	Commit store.Commit

	// Versions is the driver's note for its next attempt: what it believes the versions of the commit's streams to be.
	// It is nil at first and survives going back to the queue.
	Versions []event.Version

	events int
	bytes  int
	state  state

	answered bool
	answer   answer
	done     chan answer
}

type answer struct {
	result store.Result
	err    error
}

// state is guarded by the queue's mutex.
type state uint8

const (
	queued    state = iota // in the queue: may be withdrawn
	held                   // in a batch whose driver may read the commit: the caller must wait
	released               // in a batch that no longer reads the commit: the caller may leave
	answering              // the answer is on its way: the caller must take it
	abandoned              // the caller has left
)

// Resolve answers the request with a result. The caller gets it when the batch is finished.
func (r *Request) Resolve(result store.Result) { r.answered, r.answer = true, answer{result: result} }

// Fail answers the request with an error. The caller gets it when the batch is finished.
func (r *Request) Fail(err error) { r.answered, r.answer = true, answer{err: err} }
