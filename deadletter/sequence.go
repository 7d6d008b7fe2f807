package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"lexigram.dev/events/store"
)

// sequence is the record that is there while letters of a sequence are. Whoever changes one of them writes (or removes)
// it in the same unit, expecting the revision that it had before the letters were looked at. So changes of a sequence
// happen one after the other, each on what it has seen.
type sequence struct {
	source, name string
	key          string
	revision     store.Revision // 0: no letters
}

type storedSequence struct {
	Sequence text `json:"sequence"`
}

func (l *Letters) sequence(ctx context.Context, source, name string) (sequence, error) {
	q := sequence{source: source, name: name, key: l.sequenceKey(source, name)}
	record, err := l.store.Get(ctx, sequencesBucket, q.key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return q, err
	}
	q.revision = record.Revision
	return q, nil
}

// touch gives the operation that stands before every change of the sequence's letters.
func (q *sequence) touch() (store.Op, error) {
	value, err := json.Marshal(storedSequence{text(q.name)})
	if err != nil {
		return store.Op{}, invalid("encode sequence %q: %w", q.name, err)
	}
	return store.Put(sequencesBucket, q.key, value).When(store.IfRevision(q.revision)), nil
}

func (q *sequence) memberKey(id string) string {
	return membersPrefix(q.source, q.name) + nameIn(id)
}

// first gives the first letter of the sequence other than the one named. ok is false where there is none.
func (l *Letters) first(ctx context.Context, q sequence, other string) (letter Letter, ok bool, err error) {
	for record, err := range l.store.Scan(ctx, store.Prefix(membersBucket, membersPrefix(q.source, q.name))) {
		if err != nil {
			return Letter{}, false, err
		}
		if string(record.Value) == other {
			continue
		}
		letter, err := l.get(ctx, string(record.Value))
		if errors.Is(err, store.ErrNotFound) { // removed since, or its removal broke off on a backend without transactions
			continue
		}
		return letter, err == nil, err
	}
	return Letter{}, false, nil
}

// Blocked reports whether letters of this sequence are parked, so that later messages of it must wait behind them.
func (l *Letters) Blocked(ctx context.Context, source, sequence string) (bool, error) {
	if err := l.checkSource(source); err != nil {
		return false, err
	}
	q, err := l.sequence(ctx, source, sequence)
	if err != nil {
		return false, fmt.Errorf("look for letters of sequence %q of %s: %w", sequence, source, err)
	}
	return q.revision != 0, nil
}

// BlockedSequences yields the blocked sequences of a source.
func (l *Letters) BlockedSequences(ctx context.Context, source string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := l.checkSource(source); err != nil {
			yield("", err)
			return
		}
		for record, err := range l.scan(ctx, store.Prefix(sequencesBucket, requestKey(source, ""))) {
			var s storedSequence
			if err == nil {
				err = json.Unmarshal(record.Value, &s)
			}
			if err != nil {
				yield("", fmt.Errorf("list blocked sequences of %s: %w", source, err))
				return
			}
			if !yield(string(s.Sequence), nil) {
				return
			}
		}
	}
}
