package migrate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lexigram.dev/events/errcode"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// ErrDifferent is the kind of *DifferentError.
var ErrDifferent = errcode.New(errcode.Different, "the target holds something else than the source")

// DifferentError says where the target first differs from the source, so that it cannot be its copy.
type DifferentError struct{ Difference Difference }

// Error implements error.
func (e *DifferentError) Error() string { return ErrDifferent.Error() + ": " + e.Difference.String() }

// ErrorCode implements errcode.Coded.
func (*DifferentError) ErrorCode() errcode.Code { return errcode.Different }

// Is makes errors.Is true for ErrDifferent and store.ErrConflict.
func (e *DifferentError) Is(target error) bool {
	return target == ErrDifferent || target == store.ErrConflict
}

// Difference is one thing that is not the same in both stores.
type Difference struct {
	Position event.Position `json:"position,omitempty"`
	Stream   event.StreamID `json:"stream,omitempty"`
	Bucket   string         `json:"bucket,omitempty"`
	Key      string         `json:"key,omitempty"`
	Field    string         `json:"field"` // "id", "data", "recorded_at", …; "event", "stream", "record": all of it
	From     string         `json:"from"`  // what the source has, shortened; "": nothing
	To       string         `json:"to"`
}

// String says it in one line.
func (d Difference) String() string {
	var where []string
	if d.Position > 0 {
		where = append(where, "position "+strconv.FormatInt(int64(d.Position), 10))
	}
	if d.Stream != "" {
		where = append(where, "stream "+string(d.Stream))
	}
	if d.Bucket != "" {
		where = append(where, "record "+d.Bucket+"/"+d.Key)
	}
	where = append(where, d.Field)
	said := func(value string) string {
		if value == "" {
			return "nothing"
		}
		return value
	}
	return strings.Join(where, ", ") + ": the source has " + said(d.From) + ", the target " + said(d.To)
}

// maxShown bounds what a Difference shows of a value.
const maxShown = 60

func shown(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%d bytes %x…", len(b), b[:min(len(b), 16)])
	}
	text := strconv.Quote(string(b))
	if len(text) > maxShown {
		return fmt.Sprintf("%d bytes %s…", len(b), text[:maxShown])
	}
	return text
}

func shownTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// differs gives the first field in which two events differ; ok is false where they are the same. nil is no event.
func differs(from, to *event.Recorded) (d Difference, ok bool) {
	at := from
	if at == nil {
		at = to
	}
	d = Difference{Position: at.Position, Stream: at.Stream}
	if from == nil || to == nil {
		d.Field = "event"
		for _, side := range []struct {
			e    *event.Recorded
			text *string
		}{{from, &d.From}, {to, &d.To}} {
			if side.e != nil {
				*side.text = fmt.Sprintf("version %d, %s %s", side.e.Version, side.e.Type, side.e.ID)
			}
		}
		return d, true
	}
	for _, f := range [...]struct {
		name     string
		same     bool
		from, to any
	}{
		{"position", from.Position == to.Position, from.Position, to.Position},
		{"id", from.ID == to.ID, from.ID, to.ID},
		{"stream", from.Stream == to.Stream, from.Stream, to.Stream},
		{"version", from.Version == to.Version, from.Version, to.Version},
		{"type", from.Type == to.Type, from.Type, to.Type},
		{"schema_version", from.SchemaVersion == to.SchemaVersion, from.SchemaVersion, to.SchemaVersion},
		{"content_type", from.ContentType == to.ContentType, from.ContentType, to.ContentType},
		{"tags", slices.Equal(from.Tags, to.Tags), from.Tags, to.Tags},
		{"occurred_at", from.OccurredAt.Equal(to.OccurredAt), from.OccurredAt, to.OccurredAt},
		{"recorded_at", from.RecordedAt.Equal(to.RecordedAt), from.RecordedAt, to.RecordedAt},
		{"metadata", bytes.Equal(from.RawMetadata, to.RawMetadata), from.RawMetadata, to.RawMetadata},
		{"data", bytes.Equal(from.Data, to.Data), from.Data, to.Data},
	} {
		if !f.same {
			d.Field, d.From, d.To = f.name, text(f.from), text(f.to)
			return d, true
		}
	}
	return Difference{}, false
}

func text(value any) string {
	switch v := value.(type) {
	case []byte:
		return shown(v)
	case string:
		return shown([]byte(v))
	case time.Time:
		return shownTime(v)
	default:
		return fmt.Sprint(v)
	}
}

// differsOutput is differs for what a transform gives and what stands in its place: all but places and, within one store,
// the time of recording. Tombstones have ids of the store's own.
func differsOutput(made, there *event.Recorded) (Difference, bool) {
	expected := *made
	expected.Position, expected.Version = there.Position, there.Version
	if expected.RecordedAt.IsZero() {
		expected.RecordedAt = there.RecordedAt
	}
	if expected.IsTombstone() && there.IsTombstone() && expected.Stream == there.Stream {
		return Difference{}, false
	}
	return differs(&expected, there)
}

// appendCanonical appends an event in the form over which the hash of a log is made: integers as 8 bytes, big-endian;
// times as microseconds since 1970; texts and bytes with their length in front.
func appendCanonical(b []byte, e *event.Recorded) []byte {
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) } //nolint:gosec // bits
	value := func(s string) { number(int64(len(s))); b = append(b, s...) }
	number(int64(e.Position))
	b = append(b, e.ID[:]...)
	value(string(e.Stream))
	number(int64(e.Version))
	value(e.Type)
	number(int64(e.SchemaVersion))
	value(e.ContentType)
	number(e.OccurredAt.UnixMicro())
	number(e.RecordedAt.UnixMicro())
	number(int64(len(e.Tags)))
	for _, tag := range e.Tags {
		value(string(tag))
	}
	number(int64(len(e.RawMetadata)))
	b = append(b, e.RawMetadata...)
	number(int64(len(e.Data)))
	return append(b, e.Data...)
}
