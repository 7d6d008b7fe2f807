package event

import "time"

// JSON is the content type of events whose data is JSON, and the default.
const JSON = "application/json"

// TombstoneType is the type of the event that a store writes when a stream is deleted. It carries no data. It stays at
// the end of the stream for ever, so that the name is not used again.
const TombstoneType = "$tombstone"

// Tag is a label that queries and consistency conditions can select by, by custom "key:value", such as "course:go101".
type Tag string

// Pending is an event that is not stored yet. Type and Data are needed; what else is zero gets the default given.
type Pending struct {
	ID            ID        // default: a new UUIDv7. Give your own, kept over retries, to make an append idempotent.
	Type          string    // the registered name, such as "order.placed"
	SchemaVersion int       // version of the shape of Data; default 1
	ContentType   string    // of Data, kept verbatim; default JSON
	Data          []byte    // the encoded payload, kept byte for byte
	Metadata      Metadata  // who, why, and in what context
	Tags          []Tag     // order and duplicates are kept
	OccurredAt    time.Time // default: the store's clock. Kept to the microsecond, in UTC.
}

// Recorded is an event in the store. Its slices belong to the receiver.
type Recorded struct {
	ID            ID
	Stream        StreamID
	Version       Version  // place in Stream
	Position      Position // place in the log
	Type          string
	SchemaVersion int
	ContentType   string
	Data          []byte
	RawMetadata   []byte // the JSON object that Metadata decodes, as it is stored
	Tags          []Tag  // nil where there are none
	OccurredAt    time.Time
	RecordedAt    time.Time // the store's clock at the append
}

// Metadata decodes RawMetadata. It is a method, not a field, so that a reader who does not ask for it does not pay.
func (r *Recorded) Metadata() (Metadata, error) { return DecodeMetadata(r.RawMetadata) }

// IsTombstone reports whether this event says that its stream was deleted.
func (r *Recorded) IsTombstone() bool { return r.Type == TombstoneType }

// Pending gives the event back as one to append, for copying it to another stream or store: same id, same content.
func (r *Recorded) Pending() (Pending, error) {
	metadata, err := r.Metadata()
	if err != nil {
		return Pending{}, err
	}
	return Pending{
		ID: r.ID, Type: r.Type, SchemaVersion: r.SchemaVersion, ContentType: r.ContentType,
		Data: r.Data, Metadata: metadata, Tags: r.Tags, OccurredAt: r.OccurredAt,
	}, nil
}
