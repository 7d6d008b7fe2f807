package deadletter

import (
	"context"

	"lexigram.dev/events/store"
)

// unit makes the operations that change letters of one sequence, or one letter that stands for itself, on what was read
// after the unit began.
type unit struct {
	letters  *Letters
	sequence sequence
}

// begin must come before the letters are read.
func (l *Letters) begin(ctx context.Context, letter *Letter) (unit, error) {
	u := unit{letters: l}
	if letter.Sequence == "" {
		return u, nil
	}
	var err error
	u.sequence, err = l.sequence(ctx, letter.Source, letter.Sequence)
	return u, err
}

// write gives the operations that write the letter in the place of the one before, if any, with all that tells of it.
func (u unit) write(letter, before *Letter) ([]store.Op, error) {
	var ops []store.Op
	if letter.Sequence != "" {
		touch, err := u.sequence.touch()
		if err != nil {
			return nil, err
		}
		ops = append(ops, touch)
	}
	if letter.State == StateRequested { // a request for a letter of another state is ignored, so it may come first
		ops = append(ops, store.Put(requestsBucket, letter.requestKey(), []byte(letter.ID)))
	}
	if letter.Sequence != "" && before == nil { // and so is a member that is not there
		ops = append(ops, store.Put(membersBucket, u.sequence.memberKey(letter.ID), []byte(letter.ID)))
	}
	put, err := u.letters.put(letter, before)
	return append(ops, put...), err
}

func (letter *Letter) requestKey() string { return requestKey(letter.Source, nameIn(letter.ID)) }

// removal gives the operations that remove the letter and let the next one of its sequence go.
func (l *Letters) removal(ctx context.Context, u unit, letter Letter) ([]store.Op, error) {
	request := store.Delete(requestsBucket, letter.requestKey())
	if letter.Sequence == "" {
		return append(letter.remove(), request), nil
	}
	next, more, err := l.first(ctx, u.sequence, letter.ID)
	if err != nil {
		return nil, err
	}
	var ops []store.Op
	switch {
	case !more:
		ops = append(ops, store.Check(sequencesBucket, u.sequence.key, store.IfRevision(u.sequence.revision)))
	case next.State == StateWaiting:
		before := next
		next.State = StateRequested
		ops, err = u.write(&next, &before)
	default:
		var touch store.Op
		touch, err = u.sequence.touch()
		ops = append(ops, touch)
	}
	if err != nil {
		return nil, err
	}
	ops = append(ops, store.Delete(membersBucket, u.sequence.memberKey(letter.ID)))
	ops = append(ops, letter.remove()...)
	ops = append(ops, request)
	if !more {
		ops = append(ops, store.Delete(sequencesBucket, u.sequence.key))
	}
	return ops, nil
}
