package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lexigram.dev/events/store"
)

// parts says in how many records the value of a letter is kept that is too large for one (an event may be larger than a
// record, if the limits say so). They are named by the hash of the value, so that a letter that changes gets others, and
// who reads meanwhile never mixes them.
type parts struct {
	count int // 0: the letter's own record holds it all
	hash  string
}

const partsForm = "parts %d %s" // the letter's own record then; a letter itself is a JSON object

func (p parts) prefix(id string) string { return hash(id) + "/" + p.hash + "/" }

// put gives the operations that write a letter in the place of what was read before, or of nothing.
func (l *Letters) put(letter, before *Letter) ([]store.Op, error) {
	value, err := encode(letter)
	if err != nil {
		return nil, err
	}
	var ops []store.Op
	var p parts
	if most := l.store.Limits().MaxRecordBytes; len(value) > most {
		p = parts{count: (len(value) + most - 1) / most, hash: hash(string(value))}
		for i := range p.count {
			ops = append(ops, store.Put(partsBucket, fmt.Sprintf("%s%06d", p.prefix(letter.ID), i), value[i*most:min((i+1)*most, len(value))]))
		}
		value = fmt.Appendf(nil, partsForm, p.count, p.hash)
	}
	expected := store.IfAbsent()
	if before != nil {
		expected = store.IfRevision(before.revision)
	}
	ops = append(ops, store.Put(lettersBucket, letter.ID, value).When(expected))
	if before != nil && before.parts != p {
		ops = append(ops, before.removeParts()...)
	}
	return ops, nil
}

// remove gives the operations that remove a letter as it was read.
func (letter *Letter) remove() []store.Op {
	return append([]store.Op{store.Delete(lettersBucket, letter.ID).When(store.IfRevision(letter.revision))}, letter.removeParts()...)
}

func (letter *Letter) removeParts() []store.Op {
	var ops []store.Op
	for i := range letter.parts.count {
		ops = append(ops, store.Delete(partsBucket, fmt.Sprintf("%s%06d", letter.parts.prefix(letter.ID), i)))
	}
	return ops
}

// read gives the letter that a record holds, with its parts. Where the letter has changed meanwhile it is read anew; it
// gives store.ErrNotFound where it was removed.
func (l *Letters) read(ctx context.Context, record store.Record) (Letter, error) {
	for {
		value, p, err := l.value(ctx, record)
		if err == nil {
			letter, err := decode(record.Key, value)
			letter.revision, letter.parts = record.Revision, p
			return letter, err
		}
		if !errors.Is(err, store.ErrNotFound) {
			return Letter{}, err
		}
		again, err := l.store.Get(ctx, lettersBucket, record.Key)
		if err != nil {
			return Letter{}, err
		}
		if again.Revision == record.Revision {
			return Letter{}, fmt.Errorf("%w: a part of letter %s is missing", store.ErrCorrupt, record.Key)
		}
		record = again
	}
}

// value joins the parts of a letter.
func (l *Letters) value(ctx context.Context, record store.Record) ([]byte, parts, error) {
	var p parts
	if !strings.HasPrefix(string(record.Value), "parts ") {
		return record.Value, p, nil
	}
	if _, err := fmt.Sscanf(string(record.Value), partsForm, &p.count, &p.hash); err != nil || p.count < 1 {
		return nil, p, fmt.Errorf("%w: letter %s: %.64q is no list of parts", store.ErrCorrupt, record.Key, record.Value)
	}
	var value []byte
	found := 0
	for part, err := range l.store.Scan(ctx, store.Prefix(partsBucket, p.prefix(record.Key))) {
		if err != nil {
			return nil, p, err
		}
		value = append(value, part.Value...)
		found++
	}
	if found != p.count || hash(string(value)) != p.hash {
		return nil, p, store.ErrNotFound
	}
	return value, p, nil
}
