package mongostore

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"lexigram.dev/events/event"
)

// commit is a document of the log, read.
type commit struct {
	first, last event.Position
	id          event.ID
	recorded    time.Time
	deleted     bool
	rewrites    int64
	parts       []part
	ids         bsoncore.Document // an array; read together with the events
	events      bsoncore.Document
}

// part is what a commit holds of one stream. Events of a truncated stream may be missing at its start.
type part struct {
	stream   event.StreamID
	from, to event.Version
	at       int64 // offset of the first event in the commit
}

// decoder reads documents. It keeps the names it has met, since most repeat. It is for one goroutine.
type decoder struct {
	names map[string]string
	doc   commit
}

// maxNames bounds what a decoder keeps.
const maxNames = 4096

func (d *decoder) name(b []byte) string {
	if name, known := d.names[string(b)]; known {
		return name
	}
	if d.names == nil || len(d.names) >= maxNames {
		d.names = make(map[string]string)
	}
	name := string(b)
	d.names[name] = name
	return name
}

// commit reads all but the events. What it gives is valid until the next call.
func (d *decoder) commit(raw bson.Raw) (*commit, error) {
	c := &d.doc
	*c = commit{parts: c.parts[:0]}
	var head part
	var more bsoncore.Document
	rest, err := body(raw)
	for err == nil && len(rest) > 0 {
		var key []byte
		var v bsoncore.Value
		if key, v, rest, err = next(rest); err != nil {
			break
		}
		switch string(key) {
		case fieldID:
			c.first = event.Position(number(v))
		case fieldLast:
			c.last = event.Position(number(v))
		case fieldCommit:
			c.id = identity(v)
		case fieldRecorded:
			c.recorded = time.UnixMicro(number(v)).UTC()
		case fieldRewrites:
			c.rewrites = number(v)
		case fieldDeleted:
			c.deleted = v.Type == bsoncore.TypeBoolean && len(v.Data) == 1 && v.Data[0] == 1
		case fieldIDs:
			c.ids = v.Data
		case fieldEvents:
			c.events = v.Data
		case fieldMore:
			more = v.Data
		default:
			d.partField(&head, key, v)
		}
	}
	if err == nil && (c.first < 1 || c.last < c.first) {
		err = corrupt("a commit has positions %d to %d", c.first, c.last)
	}
	if head.stream != "" { // else its events were truncated
		c.parts = append(c.parts, head)
	}
	if err == nil {
		err = d.more(more)
	}
	return c, err
}

func (d *decoder) partField(p *part, key []byte, v bsoncore.Value) {
	switch string(key) {
	case fieldStream:
		p.stream = event.StreamID(d.name(text(v)))
	case fieldFrom:
		p.from = event.Version(number(v))
	case fieldTo:
		p.to = event.Version(number(v))
	case fieldAt:
		p.at = number(v)
	}
}

// more reads the further parts.
func (d *decoder) more(array bsoncore.Document) error {
	c := &d.doc
	return each(array, func(v bsoncore.Value) error {
		var p part
		err := fields(v.Data, func(key []byte, v bsoncore.Value) { d.partField(&p, key, v) })
		c.parts = append(c.parts, p)
		return err
	})
}

// recorded adds the commit's events to a list, in order. Each document's bytes are copied once.
func (d *decoder) recorded(c *commit, into []event.Recorded) ([]event.Recorded, error) {
	ids, err := body(bson.Raw(c.ids))
	if err != nil {
		return into, err
	}
	offset := int64(0) // offset of the next event that has none of its own
	current := 0
	err = each(c.events, func(v bsoncore.Value) error {
		e := event.Recorded{SchemaVersion: 1, ContentType: event.JSON, RecordedAt: c.recorded}
		at, err := d.event(&e, v.Data, offset)
		if err != nil {
			return err
		}
		offset = at + 1
		for current+1 < len(c.parts) && at >= c.parts[current+1].at {
			current++
		}
		if current >= len(c.parts) || len(ids) == 0 {
			return corrupt("the commit at position %d has more events than ids or parts", c.first)
		}
		var id bsoncore.Value
		if _, id, ids, err = next(ids); err != nil {
			return err
		}
		p := &c.parts[current]
		e.ID, e.Stream = identity(id), p.stream
		e.Position, e.Version = c.first+event.Position(at), p.from+event.Version(at-p.at)
		into = append(into, e)
		return nil
	})
	return into, err
}

// event reads one event and gives its offset in the commit.
func (d *decoder) event(e *event.Recorded, doc bsoncore.Document, at int64) (int64, error) {
	var data, metadata []byte
	err := fields(doc, func(key []byte, v bsoncore.Value) {
		switch string(key) {
		case fieldType:
			e.Type = d.name(text(v))
		case fieldData:
			data = text(v)
		case fieldMetadata:
			metadata = text(v)
		case fieldTags:
			_ = each(v.Data, func(v bsoncore.Value) error {
				e.Tags = append(e.Tags, event.Tag(d.name(text(v))))
				return nil
			})
		case fieldSchema:
			e.SchemaVersion = int(number(v))
		case fieldContent:
			e.ContentType = d.name(text(v))
		case fieldOccurred:
			e.OccurredAt = time.UnixMicro(number(v)).UTC()
		case fieldAt:
			at = number(v)
		}
	})
	if metadata == nil {
		metadata = []byte("{}")
	}
	buf := make([]byte, 0, len(data)+len(metadata))
	buf = append(append(buf, data...), metadata...)
	e.Data, e.RawMetadata = buf[:len(data):len(data)], buf[len(data):]
	return at, err
}

// kinds tells of each event of a commit what conditions look at: its position, type and tags.
func (d *decoder) kinds(c *commit, seen func(at event.Position, eventType string, tags []event.Tag)) error {
	offset := int64(0)
	var tags []event.Tag
	return each(c.events, func(v bsoncore.Value) error {
		at, eventType := offset, ""
		tags = tags[:0]
		err := fields(v.Data, func(key []byte, v bsoncore.Value) {
			switch string(key) {
			case fieldType:
				eventType = d.name(text(v))
			case fieldAt:
				at = number(v)
			case fieldTags:
				_ = each(v.Data, func(v bsoncore.Value) error {
					tags = append(tags, event.Tag(d.name(text(v))))
					return nil
				})
			}
		})
		offset = at + 1
		seen(c.first+event.Position(at), eventType, tags)
		return err
	})
}
