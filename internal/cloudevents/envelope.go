package cloudevents

import (
	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
)

// ErrMalformed is the kind of error for a message that is no CloudEvent which can be read. The text says what is missing or wrong.
var ErrMalformed = errcode.New(errcode.Malformed, "malformed CloudEvent")

// Envelope is an event on its way between programs.
type Envelope struct {
	// ID is unique among the events of a source. Together they tell events apart for ever.
	ID string

	// Source says who has sent it: a URI reference, such as "/orders".
	Source string

	// Subject is what it is about; for an event of the log its stream. May be empty.
	Subject string

	// DataSchema is a URI of the schema of the data. May be empty.
	DataSchema string

	// Key names what keeps its order; for an event of the log its stream. May be empty.
	Key string

	// Event is the event. Its stream, version, position and recording time are zero for one that comes from no log. Its
	// id is the UUID that ID holds, or else one that follows from Source and ID, always the same.
	Event event.Recorded

	// Extensions are further attributes, by name. Nil where there are none.
	Extensions map[string]string
}

// FromRecorded puts an event of the log into an envelope. Its id, kept over every repetition, is that of the event.
func FromRecorded(r event.Recorded, source string) Envelope {
	return Envelope{ID: r.ID.String(), Source: source, Subject: string(r.Stream), Key: string(r.Stream), Event: r}
}

// eventID is the id of the event in an envelope.
func eventID(source, id string) event.ID {
	if parsed, err := event.ParseID(id); err == nil && !parsed.IsZero() && parsed.String() == id {
		return parsed
	}
	return event.DerivedID(event.ID{}, source+"\n"+id)
}
