package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Appended says where an event that was appended by hand is.
type Appended struct {
	ID        event.ID       `json:"id"`
	Stream    event.StreamID `json:"stream"`
	Version   event.Version  `json:"version"`
	Position  event.Position `json:"position"`
	Duplicate bool           `json:"duplicate"` // it was there before
}

// AppendJSON appends one event whose data is JSON. Data that is none is refused with store.ErrInvalid before anything is
// written; data of several lines is stored on one. Without an id the event gets a new one.
func (a *Admin) AppendJSON(ctx context.Context, stream event.StreamID, expected store.Expected, e event.Pending) (Appended, error) {
	if err := CheckJSON(e.Data); err != nil {
		return Appended{}, fmt.Errorf("append stream %s: %w", stream, err)
	}
	if e.Data = bytes.TrimSpace(e.Data); bytes.ContainsAny(e.Data, "\r\n") {
		var line bytes.Buffer
		if err := json.Compact(&line, e.Data); err != nil {
			return Appended{}, fmt.Errorf("append stream %s: %w", stream, err)
		}
		e.Data = line.Bytes()
	}
	if e.ID.IsZero() {
		e.ID = event.NewID()
	}
	res, err := a.store.Append(ctx, stream, expected, e)
	if err != nil {
		return Appended{}, err
	}
	return Appended{ID: e.ID, Stream: stream, Version: res.Version(), Position: res.Last, Duplicate: res.Duplicate}, nil
}

// CheckJSON says why data is not one JSON value.
func CheckJSON(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return fmt.Errorf("%w: the data is empty, not JSON", store.ErrInvalid)
	}
	if json.Valid(data) {
		return nil
	}
	var value any
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, &value); errors.As(err, &syntax) {
		return fmt.Errorf("%w: the data is not valid JSON at byte %d: %w", store.ErrInvalid, syntax.Offset, err)
	}
	return fmt.Errorf("%w: the data is not valid JSON", store.ErrInvalid)
}
