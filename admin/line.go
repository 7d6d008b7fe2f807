package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"lexigram.dev/events/event"
)

// AppendLine appends an event as one line of JSON without the newline: the form of export, of import and of every
// --json. Data that is JSON on one line stands in "data" byte for byte as stored; any other data is in "data_base64".
func AppendLine(b []byte, e *event.Recorded) []byte {
	b = append(b, `{"position":`...)
	b = strconv.AppendInt(b, int64(e.Position), 10)
	b = appendField(b, "stream", string(e.Stream))
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, int64(e.Version), 10)
	b = appendField(b, "id", e.ID.String())
	b = appendField(b, "type", e.Type)
	b = append(b, `,"schema_version":`...)
	b = strconv.AppendInt(b, int64(e.SchemaVersion), 10)
	if e.ContentType != event.JSON {
		b = appendField(b, "content_type", e.ContentType)
	}
	b = appendField(b, "occurred_at", e.OccurredAt.UTC().Format(time.RFC3339Nano))
	b = appendField(b, "recorded_at", e.RecordedAt.UTC().Format(time.RFC3339Nano))
	if len(e.Tags) > 0 {
		b = append(b, `,"tags":`...)
		for i, tag := range e.Tags {
			b = append(b, "[,"[min(i, 1)])
			b = appendText(b, string(tag))
		}
		b = append(b, ']')
	}
	if len(e.RawMetadata) > 0 && string(e.RawMetadata) != "{}" && embeddable(e.RawMetadata) {
		b = append(b, `,"metadata":`...)
		b = append(b, e.RawMetadata...)
	}
	if embeddable(e.Data) {
		b = append(b, `,"data":`...)
		b = append(b, e.Data...)
	} else if len(e.Data) > 0 {
		b = append(b, `,"data_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, e.Data)
		b = append(b, '"')
	}
	return append(b, '}')
}

// embeddable reports whether raw can stand inside a line of JSON and come back byte for byte.
func embeddable(raw []byte) bool {
	return utf8.Valid(raw) && json.Valid(raw) && !bytes.ContainsAny(raw, "\r\n") && len(bytes.TrimSpace(raw)) == len(raw)
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return appendText(b, value)
}

// appendText appends a JSON string. Text that came out of a store is valid UTF-8, so it always marshals.
func appendText(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

// Line is an event as ParseLine reads it.
type Line struct {
	Stream event.StreamID
	Event  event.Pending
}

// line is the JSON form of Line. Position, version and the time of recording are the store's to give, so they are read
// and dropped.
type line struct {
	Position      int64            `json:"position"`
	Stream        *event.StreamID  `json:"stream"`
	Version       int64            `json:"version"`
	ID            *event.ID        `json:"id"`
	Type          *string          `json:"type"`
	SchemaVersion int              `json:"schema_version"`
	ContentType   string           `json:"content_type"`
	OccurredAt    time.Time        `json:"occurred_at"`
	RecordedAt    time.Time        `json:"recorded_at"`
	Tags          []event.Tag      `json:"tags"`
	Metadata      event.Metadata   `json:"metadata"`
	Data          *json.RawMessage `json:"data"`
	DataBase64    []byte           `json:"data_base64"`
}

// ParseLine reads a line that AppendLine wrote, or that somebody else did: "stream", "id" and "type" are needed, unknown
// keys are an error. The id is needed since it is what makes importing the line twice harmless.
func ParseLine(text []byte) (Line, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var l line
	if err := decoder.Decode(&l); err != nil {
		return Line{}, explain(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Line{}, errors.New("more text follows the JSON object: there must be one event on a line")
	}
	switch {
	case l.Stream == nil:
		return Line{}, errors.New(`"stream" is missing`)
	case l.Type == nil:
		return Line{}, errors.New(`"type" is missing`)
	case l.ID == nil || l.ID.IsZero():
		return Line{}, errors.New(`"id" is missing: without it a second import would add the event again`)
	case l.Data != nil && l.DataBase64 != nil:
		return Line{}, errors.New(`"data" and "data_base64" are both given`)
	}
	e := event.Pending{
		ID: *l.ID, Type: *l.Type, SchemaVersion: l.SchemaVersion, ContentType: l.ContentType,
		Data: l.DataBase64, Metadata: l.Metadata, Tags: l.Tags, OccurredAt: l.OccurredAt,
	}
	if l.Data != nil {
		e.Data = *l.Data
	}
	return Line{Stream: *l.Stream, Event: e}, nil
}

// explain says what is wrong with a line in words that do not mention Go.
func explain(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the JSON object ends too early")
	case errors.As(err, &syntax):
		return fmt.Errorf("not valid JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &mismatch):
		if mismatch.Field == "" {
			return fmt.Errorf("must be a JSON object, not a %s", mismatch.Value)
		}
		return fmt.Errorf("%q must not be a %s", mismatch.Field, mismatch.Value)
	default:
		return err
	}
}
