package schedule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// The buckets. An entry of the agenda holds the whole delivery, so that walking it reads nothing else; the record of the id
// says where that is. Both are written in one unit, and each change of a delivery changes its entry: so the revision of
// the entry guards both.
const (
	agendaBucket = "schedule/agenda" // kind/partition/time/id: an entry
	idsBucket    = "schedule/ids"    // id: a pointer
	leaseBucket  = "schedule/leases"
	group        = "schedule" // of the leases
)

// partitions is in how many parts the deliveries are spread over processes. It is part of the stored keys.
const partitions = 8

// entry is what is stored of a delivery.
type entry struct {
	Kind          Kind           `json:"kind"`
	Due           int64          `json:"due"` // in microseconds; the time in the key is later after a failed attempt
	Cron          string         `json:"cron,omitempty"`
	Zone          string         `json:"zone,omitempty"`
	CatchUp       bool           `json:"catch_up,omitempty"`
	Hash          string         `json:"hash"` // of what was asked for
	Stream        event.StreamID `json:"stream,omitempty"`
	Type          string         `json:"type"`
	SchemaVersion int            `json:"schema_version,omitempty"`
	ContentType   string         `json:"content_type,omitempty"`
	Data          []byte         `json:"data"`
	Tags          []event.Tag    `json:"tags,omitempty"`
	Metadata      event.Metadata `json:"metadata,omitzero"`
	OccurredAt    time.Time      `json:"occurred_at,omitzero"`
	Attempts      int            `json:"attempts,omitempty"`      // that have failed
	Interruptions int            `json:"interruptions,omitempty"` // attempts of which nothing was heard any more
	Error         string         `json:"error,omitempty"`
	Claim         string         `json:"claim,omitempty"` // by whom it is being delivered
}

// pointer is what is stored of an id.
type pointer struct {
	Entry string `json:"entry"` // the key in the agenda
	Hash  string `json:"hash"`
}

// spec takes down what was asked for, and its hash: to the same id, the same may be asked for again.
func (e *entry) spec(w *When) {
	e.Cron, e.Zone, e.CatchUp = w.cron, w.zone, w.catchUp
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%s %d %q %q\n%s\n", w, e.Kind, e.Stream, e.Type, e.SchemaVersion, e.ContentType, e.Tags, e.OccurredAt)
	h.Write(e.Data)
	e.Hash = hex.EncodeToString(h.Sum(nil)[:16])
}

// key is the same at each attempt at one delivery, and of no other: it depends on the id, the content and the time.
func (e *entry) key(id string) event.ID {
	return event.DerivedID(event.ID{}, fmt.Sprintf("schedule\n%s\n%d\n%s", e.Hash, e.Due, id))
}

func prefixOf(kind Kind, partition int) string { return fmt.Sprintf("%s/%02d/", kind, partition) }

func partitionOf(id string) int { return subscription.PartitionOf(event.StreamID(id), partitions) }

// agendaKey is the key of a delivery that is to be looked at at a time.
func (e *entry) agendaKey(id string, at int64) string {
	return fmt.Sprintf("%s%016d/%s", prefixOf(e.Kind, partitionOf(id)), at, id)
}

// splitKey gives the time and the id of a key.
func splitKey(key string) (at int64, id string, err error) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) == 4 {
		at, err = strconv.ParseInt(parts[2], 10, 64)
	}
	if len(parts) != 4 || err != nil {
		return 0, "", fmt.Errorf("record %s/%s: %w: no key of the agenda", agendaBucket, key, store.ErrCorrupt)
	}
	return at, parts[3], nil
}

// write gives the operations that put an entry into the agenda and say so to its id.
func (e *entry) write(id string, at int64) []store.Op {
	key := e.agendaKey(id, at)
	return []store.Op{
		store.Put(agendaBucket, key, encode(e)),
		store.Put(idsBucket, id, encode(pointer{Entry: key, Hash: e.Hash})),
	}
}

// encode makes JSON of what always can be.
func encode(v any) []byte {
	value, _ := json.Marshal(v) // strings, numbers, bytes and checked times: cannot fail
	return value
}

func decode(r *store.Record, v any) error {
	if err := json.Unmarshal(r.Value, v); err != nil {
		return fmt.Errorf("record %s/%s: %w: %w", r.Bucket, r.Key, store.ErrCorrupt, err)
	}
	return nil
}

// found is an entry as it was read.
type found struct {
	entry
	id, at   string // at: its key
	revision store.Revision
	due      int64 // the time in its key
}

func decodeEntry(r *store.Record) (*found, error) {
	f := &found{at: r.Key, revision: r.Revision}
	var err error
	if f.due, f.id, err = splitKey(r.Key); err != nil {
		return nil, err
	}
	return f, decode(r, &f.entry)
}

// move gives the operations that put it elsewhere in the agenda.
func (f *found) move(at int64) []store.Op {
	ops := f.write(f.id, at)
	if ops[0].Key == f.at {
		ops[0] = ops[0].When(store.IfRevision(f.revision))
		return ops
	}
	return append([]store.Op{store.Delete(agendaBucket, f.at).When(store.IfRevision(f.revision))}, ops...)
}

// remove gives the operations that remove it.
func (f *found) remove() []store.Op {
	return []store.Op{store.Delete(agendaBucket, f.at).When(store.IfRevision(f.revision)), store.Delete(idsBucket, f.id)}
}
