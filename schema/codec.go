package schema

import (
	"encoding/json"
	"mime"
	"strings"

	"lexigram.dev/events/event"
)

// Codec turns values into bytes and back. It must be safe for concurrent use.
type Codec interface {
	// ContentType is stored with each event that Marshal encoded, and says which events Unmarshal can decode.
	ContentType() string
	// Marshal encodes what v, a pointer, points to.
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes into v, a pointer. It must not keep data.
	Unmarshal(data []byte, v any) error
}

// JSON is the default codec: encoding/json. Fields that the Go type does not have are ignored when decoding, so that
// adding a field needs no new version.
type JSON struct{}

// ContentType implements Codec.
func (JSON) ContentType() string { return event.JSON }

// Marshal implements Codec.
func (JSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements Codec.
func (JSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// speaks reports whether a codec for content type own can decode data of content type stored. Parameters, such as a
// charset, and letter case do not matter (RFC 9110 §8.3.1).
func speaks(own, stored string) bool {
	if own == stored {
		return true
	}
	a, _, err := mime.ParseMediaType(own)
	if err != nil {
		return false
	}
	b, _, err := mime.ParseMediaType(stored)
	return err == nil && strings.EqualFold(a, b)
}
