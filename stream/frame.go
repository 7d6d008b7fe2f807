package stream

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lexigram.dev/events/event"
)

// Frame is an event as clients get it, in JSON. Data is the event's own JSON, as it is stored; where it is none, it is a
// string in base64, and ContentType says of what.
type Frame struct {
	Position    event.Position  `json:"position"`
	Stream      event.StreamID  `json:"stream"`
	Version     event.Version   `json:"version"`
	Type        string          `json:"type"`
	EventID     string          `json:"event_id"`
	OccurredAt  time.Time       `json:"occurred_at"`
	ContentType string          `json:"content_type,omitempty"`
	Data        json.RawMessage `json:"data"`
}

// Encode gives the frame of an event, in one line.
func Encode(e event.Recorded) ([]byte, error) {
	f := Frame{
		Position: e.Position, Stream: e.Stream, Version: e.Version, Type: e.Type, EventID: e.ID.String(), OccurredAt: e.OccurredAt, Data: e.Data,
	}
	if len(e.Data) == 0 {
		f.Data = json.RawMessage("null")
	} else if !strings.Contains(e.ContentType, "json") || !json.Valid(e.Data) {
		f.ContentType = e.ContentType
		f.Data, _ = json.Marshal(e.Data) // bytes can always be encoded
	}
	line, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode the event at position %d: %w", e.Position, err)
	}
	return line, nil
}
