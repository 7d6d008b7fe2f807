package deadletter

import (
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Letter is a message that could not be handled.
type Letter struct {
	// ID is Source, a slash, and what identifies the message: for an event of the log its position in 19 digits, else
	// the message's id, or "~" and a hash where that is empty, too long or unfit for a key. Parking the same failure
	// again gives the same letter.
	ID string `json:"id"`

	// Source says who has failed, such as "subscription/mailer", "projection/orders", "eventbus/billing/invoice",
	// "outbox/relay".
	Source string `json:"source"`

	// Sequence names what keeps its order: letters of one sequence are retried in the order of their ids, for events
	// the stream. "": the letter stands for itself.
	Sequence string `json:"sequence,omitempty"`

	// Event is the whole event of the log; nil for other messages.
	Event *event.Recorded `json:"event,omitempty"`

	// Message is the whole message of a broker or an outbox; nil for events of the log.
	Message *Message `json:"message,omitempty"`

	// Reason says why it is here where that is not the handling of it: Skew. "": it has failed, or waits.
	Reason Reason `json:"reason,omitempty"`

	Error         string    `json:"error"` // of the last attempt, cut at 8 KiB; "" for one that only waits
	Attempts      int       `json:"attempts"`
	FirstFailedAt time.Time `json:"first_failed_at"`
	LastFailedAt  time.Time `json:"last_failed_at"`
	State         State     `json:"state"`
	Edited        bool      `json:"edited,omitempty"` // somebody has changed its data

	revision store.Revision // of its record when it was read; 0: it was not read
	parts    parts          // that hold it when it was read
}

// Message is a message that is no event of the log.
type Message struct {
	ID      string            `json:"id"`
	Topic   string            `json:"topic"`
	Key     string            `json:"key,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    []byte            `json:"body"`
}

// Reason is why a letter is there, if it is a special one.
type Reason string

// Skew is that another release of the program wrote the event, so that this one cannot read it. Its source asks for the
// retry by itself when it starts anew.
const Skew Reason = "version_skew"

// State says what becomes of a letter next.
type State string

// The states of a letter.
const (
	StateParked    State = "parked"    // it waits for an operator
	StateWaiting   State = "waiting"   // it has not failed: it waits behind a parked one of its sequence
	StateRequested State = "requested" // somebody has asked for a retry; the source will see it
)
