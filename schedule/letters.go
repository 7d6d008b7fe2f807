package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Source is the source of the dead letters of deliveries.
const Source = "schedule"

// The headers of a letter, beside deadletter.TypeHeader; its body is the data, and its key the id.
const (
	headerDue         = "due"
	headerHash        = "hash"
	headerStream      = "stream"
	headerVersion     = "schema-version"
	headerContentType = "content-type"
	headerTags        = "tags"
	headerMetadata    = "metadata"
)

// letter makes a dead letter of a delivery.
func (f *found) letter() deadletter.Letter {
	return deadletter.Letter{
		Source: Source, Error: f.Error, Attempts: f.Attempts,
		Message: &deadletter.Message{
			ID: f.key(f.id).String(), Topic: string(f.Kind), Key: f.id, Body: f.Data,
			Headers: map[string]string{
				deadletter.TypeHeader: f.Type, headerDue: time.UnixMicro(f.Due).UTC().Format(time.RFC3339Nano), headerHash: f.Hash,
				headerStream: string(f.Stream), headerVersion: strconv.Itoa(f.SchemaVersion), headerContentType: f.ContentType,
				headerTags: string(encode(f.Tags)), headerMetadata: string(encode(f.Metadata)),
			},
		},
	}
}

// entryOf makes the delivery of a letter.
func entryOf(letter *deadletter.Letter) (*entry, error) {
	m := letter.Message
	if m == nil {
		return nil, errors.New("it is no delivery")
	}
	h := m.Headers
	e := &entry{
		Kind: Kind(m.Topic), Hash: h[headerHash], Stream: event.StreamID(h[headerStream]), Type: h[deadletter.TypeHeader],
		ContentType: h[headerContentType], Data: m.Body,
	}
	due, faulty := time.Parse(time.RFC3339Nano, h[headerDue])
	var err error
	e.Due = due.UnixMicro()
	e.SchemaVersion, err = strconv.Atoi(h[headerVersion])
	return e, errors.Join(faulty, err, json.Unmarshal([]byte(h[headerTags]), &e.Tags), json.Unmarshal([]byte(h[headerMetadata]), &e.Metadata))
}

// bury makes a dead letter of a delivery that has failed for good. One that recurs goes on with its next time.
func (l *lane) bury(ctx context.Context, dead *found) error {
	letter := dead.letter()
	for {
		f := *dead // a second try begins with the same
		ops, err := l.o.DeadLetters.Park(ctx, letter)
		if err != nil {
			return err
		}
		_, err = l.store.Apply(ctx, append(l.proceed(&f), ops...)...)
		var conflict *store.RevisionError
		switch {
		case !errors.As(err, &conflict):
			return err
		case conflict.Bucket == agendaBucket:
			return nil // another owner has taken it over
		}
	}
}

// lookForLetters has dead letters retried whose retry was asked for, one after the other.
func (r *runner) lookForLetters(ctx, handling context.Context) error {
	select {
	case r.busy <- struct{}{}:
	default:
		return nil // those before are not done
	}
	var asked []deadletter.Letter
	for letter, err := range r.o.DeadLetters.Requested(ctx, Source) {
		if err != nil {
			<-r.busy
			return err
		}
		if letter.Message != nil && r.workers[partitionOf(letter.Message.Key)] != nil {
			asked = append(asked, letter)
		}
		if len(asked) == lettersAtOnce {
			break
		}
	}
	r.letters.Go(func() {
		defer func() { <-r.busy }()
		for i := range asked {
			if handling.Err() == nil {
				r.complain(handling, r.retry(handling, &asked[i]))
			}
		}
	})
	return nil
}

// lettersAtOnce is how many dead letters are retried between two looks.
const lettersAtOnce = 16

// retry makes the delivery of a dead letter once. One whose attempt was cut short stays requested.
func (r *runner) retry(ctx context.Context, letter *deadletter.Letter) error {
	e, failure := entryOf(letter)
	if failure == nil {
		failure = r.attempt(ctx, e, letter.Message.Key, letter.Attempts+1)
	}
	if err := r.retried(ctx, letter, failure); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("retry letter %s: %w", letter.ID, err)
	}
	return nil // after a conflict it stays requested too: somebody has changed it meanwhile
}

// retried writes what came of a retry.
func (r *runner) retried(ctx context.Context, letter *deadletter.Letter, failure error) error {
	var ops []store.Op
	err := ctx.Err()
	switch {
	case err != nil:
	case failure == nil:
		ops, err = r.o.DeadLetters.Resolved(ctx, *letter)
	default:
		ops, err = r.o.DeadLetters.Failed(ctx, *letter, failure)
	}
	if err != nil {
		return err
	}
	_, err = r.store.Apply(ctx, ops...)
	return err
}
