package store

import (
	"context"
	"iter"
	"time"
)

// KV keeps small records in buckets, ordered by key.
type KV interface {
	// Get gives ErrNotFound for a record that is missing or expired.
	Get(ctx context.Context, bucket, key string) (Record, error)

	// Apply does all operations or none, in order, and returns the revision of each one's record after it (0 after a
	// delete, or a check that a record is absent). If one does not find the revision it expects, nothing is changed and
	// the error is a *RevisionError.
	Apply(ctx context.Context, ops []Op) ([]Revision, error)

	// Scan yields the records of a bucket in byte order of their keys; expired ones are left out.
	Scan(ctx context.Context, r Scan) iter.Seq2[Record, error]
}

// Revision identifies one state of one record. Revisions grow over the whole store and are never used again, also not
// after a record was deleted and made anew. 0 means "absent".
type Revision int64

// Record is a stored record.
type Record struct {
	Bucket, Key string
	Value       []byte // the receiver's own
	Revision    Revision
	ExpiresAt   time.Time // zero: never
}

// OpKind says what an operation does.
type OpKind uint8

// The kinds of operations. The zero value is refused.
const (
	OpPut    OpKind = iota + 1 // set the value
	OpDelete                   // remove the record; removing a missing one is fine unless If says otherwise
	OpCheck                    // change nothing, only check If
)

// Op is one operation of a batch.
type Op struct {
	Kind        OpKind
	Bucket, Key string
	Value       []byte        // of OpPut
	TTL         time.Duration // of OpPut: the record expires after so long, by the backend's clock; 0: never
	If          If            // the revision that is expected; the zero value expects nothing
}

// If is the expectation of an operation: none (the zero value), [IfAbsent] or [IfRevision].
type If struct {
	set      bool
	revision Revision
}

// IfAbsent expects that there is no record (an expired one counts as none).
func IfAbsent() If { return If{set: true} }

// IfRevision expects that the record has this revision. 0 is the same as IfAbsent.
func IfRevision(r Revision) If { return If{set: true, revision: r} }

// Revision gives the expected revision (0: absent); ok is false when nothing is expected.
func (i If) Revision() (r Revision, ok bool) { return i.revision, i.set }

// Allows reports whether a record at this revision (0: absent) is as expected.
func (i If) Allows(current Revision) bool { return !i.set || i.revision == current }

// Put is an operation that sets a value whatever was there.
func Put(bucket, key string, value []byte) Op {
	return Op{Kind: OpPut, Bucket: bucket, Key: key, Value: value}
}

// Delete is an operation that removes a record whatever was there.
func Delete(bucket, key string) Op { return Op{Kind: OpDelete, Bucket: bucket, Key: key} }

// Check is an operation that changes nothing and makes the batch fail unless the record is as expected.
func Check(bucket, key string, expected If) Op {
	return Op{Kind: OpCheck, Bucket: bucket, Key: key, If: expected}
}

// When gives the operation with an expectation.
func (o Op) When(expected If) Op { o.If = expected; return o }

// For gives the operation with an expiry.
func (o Op) For(ttl time.Duration) Op { o.TTL = ttl; return o }

// Scan says which records of a bucket to yield. From and To are byte strings compared as such.
type Scan struct {
	Bucket    string
	From      string // the first key, inclusive; "": from the first
	To        string // the end, exclusive; "": to the last
	Limit     int    // at most so many; 0: no limit
	Backwards bool   // from the greatest key below To down to From
}

// Prefix scans the keys of a bucket that begin with prefix.
func Prefix(bucket, prefix string) Scan {
	return Scan{Bucket: bucket, From: prefix, To: prefixEnd(prefix)}
}

// prefixEnd is the smallest byte string greater than all that begin with prefix; "" where there is none.
func prefixEnd(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}
