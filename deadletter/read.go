package deadletter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"lexigram.dev/events/store"
)

// Filter selects letters. The fields are ANDed; an empty field does not restrict.
type Filter struct {
	Source   string // exactly this one, or with a trailing slash all below it ("projection/")
	Sequence string
	Type     string // of the event, or the header ce-type of the message
	State    State
	Reason   Reason
	Before   time.Time // last failed before
	Limit    int       // at most so many; 0: no limit
}

// TypeHeader is the header of a message that Filter.Type looks at.
const TypeHeader = "ce-type"

func (f *Filter) matches(letter *Letter) bool {
	return (f.Source == "" || strings.HasSuffix(f.Source, "/") || letter.Source == f.Source) &&
		(f.Sequence == "" || letter.Sequence == f.Sequence) &&
		(f.Type == "" || letter.typeName() == f.Type) &&
		(f.State == "" || letter.State == f.State) &&
		(f.Reason == "" || letter.Reason == f.Reason) &&
		(f.Before.IsZero() || letter.LastFailedAt.Before(f.Before))
}

func (letter *Letter) typeName() string {
	if letter.Event != nil {
		return letter.Event.Type
	}
	return letter.Message.Headers[TypeHeader]
}

// List yields letters in the order of their ids. Letters may be changed while it goes on.
func (l *Letters) List(ctx context.Context, f Filter) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		fail := func(err error) { yield(Letter{}, fmt.Errorf("list letters: %w", err)) }
		if f.Limit < 0 {
			fail(invalid("limit %d: must not be negative", f.Limit))
			return
		}
		prefix := f.Source
		if prefix != "" && !strings.HasSuffix(prefix, "/") {
			prefix += "/"
		}
		left := f.Limit
		for record, err := range l.scan(ctx, store.Prefix(lettersBucket, prefix)) {
			var letter Letter
			if err == nil {
				letter, err = l.read(ctx, record)
			}
			if errors.Is(err, store.ErrNotFound) { // removed meanwhile
				continue
			}
			if err != nil {
				fail(err)
				return
			}
			if !f.matches(&letter) {
				continue
			}
			if !yield(letter, nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// Get gives one letter, or store.ErrNotFound.
func (l *Letters) Get(ctx context.Context, id string) (Letter, error) {
	letter, err := l.get(ctx, id)
	if err != nil {
		return Letter{}, fmt.Errorf("get letter %s: %w", id, err)
	}
	return letter, nil
}

func (l *Letters) get(ctx context.Context, id string) (Letter, error) {
	record, err := l.store.Get(ctx, lettersBucket, id)
	if err != nil {
		return Letter{}, err
	}
	return l.read(ctx, record)
}

// Count counts letters. It reads them.
func (l *Letters) Count(ctx context.Context, f Filter) (int, error) {
	n := 0
	for _, err := range l.List(ctx, f) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// Requested yields the letters of exactly this source whose retry was asked for, first of each sequence first. A letter
// that becomes requested meanwhile, such as the next one after a success, is among them. Where nothing is asked for, it
// costs one read.
func (l *Letters) Requested(ctx context.Context, source string) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		if err := l.checkSource(source); err != nil {
			yield(Letter{}, err)
			return
		}
		for record, err := range l.scan(ctx, store.Prefix(requestsBucket, requestKey(source, ""))) {
			var letter Letter
			if err == nil {
				letter, err = l.get(ctx, string(record.Value))
			}
			if errors.Is(err, store.ErrNotFound) || err == nil && letter.State != StateRequested { // not any more
				continue
			}
			if err != nil {
				yield(Letter{}, fmt.Errorf("look for requested letters of %s: %w", source, err))
				return
			}
			if !yield(letter, nil) {
				return
			}
		}
	}
}

// scanPage is how many records a scan holds.
const scanPage = 32

// scan yields records page by page, and holds nothing of the backend while the caller works with them. So the caller may
// call the store, and write; what it adds behind the record in hand is found too.
func (l *Letters) scan(ctx context.Context, r store.Scan) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		r.Limit = scanPage
		for {
			var page []store.Record
			for record, err := range l.store.Scan(ctx, r) {
				if err != nil {
					yield(store.Record{}, err)
					return
				}
				page = append(page, record)
			}
			for _, record := range page {
				if !yield(record, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
			r.From = page[len(page)-1].Key + "\x00"
		}
	}
}
