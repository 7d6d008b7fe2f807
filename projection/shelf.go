package projection

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lexigram.dev/events/store"
)

// shelf is what a worker holds of one kind of documents.
type shelf interface {
	// flush gives the operations that write what was changed.
	flush(ops []store.Op) ([]store.Op, error)
	// settle says that they were done.
	settle()
}

// documentShelf gathers the changes of a batch, and keeps the documents that were used last: its worker is the only one
// that writes them. After a failure the whole shelf is thrown away.
type documentShelf[T any] struct {
	docs      *Documents[T]
	bucket    string
	store     *store.Store // nil: nothing is stored
	partition int          // of the worker
	shared    bool         // there are others
	capacity  int

	warm     bool // the bucket was looked at
	complete bool // what is not on the shelf is not in the bucket
	recent   map[string]*entry[T]
	older    map[string]*entry[T] // the next to go; what is used moves to recent
	dirty    []*entry[T]
}

// entry is a document on the shelf.
type entry[T any] struct {
	key      string
	value    T
	present  bool
	dirty    bool
	stored   bool     // it was there before the batch
	foreign  int      // another partition that made it, plus 1
	entries  []string // keys of its index entries in the store, sorted
	entries2 []string // of those after the batch
}

func (e *entry[T]) reset() {
	var zero T
	e.value, e.present = zero, false
}

func (d *Documents[T]) newShelf(w *worker) shelf {
	return &documentShelf[T]{
		docs:      d,
		bucket:    w.generation.bucket(w.projection.name, d.name),
		store:     w.store,
		partition: w.partition,
		shared:    w.generation.Partitions > 1,
		capacity:  w.projection.options.CacheDocuments,
		warm:      w.store == nil || w.brief,
		complete:  w.store == nil,
		recent:    map[string]*entry[T]{},
	}
}

// load gives the entry of a key, present or not.
func (s *documentShelf[T]) load(ctx context.Context, key string) (*entry[T], error) {
	e := s.recent[key]
	if e == nil {
		var err error
		if e, err = s.find(ctx, key); err != nil {
			return nil, err
		}
	}
	if e.foreign > 0 {
		return nil, fmt.Errorf("it was made by partition %d, and partition %d changes it: with several partitions a document's key must depend on the stream alone",
			e.foreign-1, s.partition)
	}
	return e, nil
}

func (s *documentShelf[T]) find(ctx context.Context, key string) (*entry[T], error) {
	if !s.warm {
		if err := s.fill(ctx); err != nil {
			return nil, err
		}
		if e := s.recent[key]; e != nil {
			return e, nil
		}
	}
	if e := s.older[key]; e != nil {
		s.recent[key] = e
		return e, nil
	}
	e := &entry[T]{key: key}
	if !s.complete {
		r, err := s.store.Get(ctx, s.bucket, key)
		if err == nil {
			err = s.decode(e, r.Value)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	s.recent[key] = e
	return e, nil
}

// fill reads the bucket, as far as it fits: one scan is much cheaper than a read for each document, and when it was all
// there is, a new document needs no read to know that it is new.
func (s *documentShelf[T]) fill(ctx context.Context) error {
	s.complete = true
	for r, err := range s.store.Scan(ctx, store.Scan{Bucket: s.bucket, Limit: s.capacity + 1}) {
		if err != nil {
			return err
		}
		if len(s.recent) == s.capacity {
			s.complete = false
			break
		}
		e := &entry[T]{key: r.Key}
		if err := s.decode(e, r.Value); err != nil {
			return err
		}
		s.recent[r.Key] = e
	}
	s.warm = true
	return nil
}

// decode fills an entry from a record's value. With several partitions that begins with the number of the one which made
// the document, and a space.
func (s *documentShelf[T]) decode(e *entry[T], value []byte) error {
	value, owner, err := splitOwner(value, s.shared)
	if err == nil && owner != s.partition {
		e.foreign = owner + 1
		return nil
	}
	if err == nil {
		err = s.docs.codec.Unmarshal(value, &e.value)
	}
	if err == nil {
		e.entries, err = s.docs.entriesOf(e.key, e.value)
	}
	if err != nil {
		return fmt.Errorf("document %s/%s: %w: %w", s.bucket, e.key, store.ErrCorrupt, err)
	}
	e.present, e.stored = true, true
	return nil
}

func splitOwner(value []byte, shared bool) (rest []byte, owner int, err error) {
	if !shared {
		return value, 0, nil
	}
	number, rest, found := bytes.Cut(value, []byte{' '})
	if !found {
		return nil, 0, errors.New("it does not say which partition made it")
	}
	owner, err = strconv.Atoi(string(number))
	return rest, owner, err
}

// entriesOf gives the keys of the index entries of a document, sorted.
func (d *Documents[T]) entriesOf(key string, value T) ([]string, error) {
	if len(d.indexes) == 0 {
		return nil, nil
	}
	var entries []string
	for _, index := range d.indexes {
		for _, v := range index.values(value) {
			entry, err := entryKey(index.name, v, key)
			if err != nil {
				return nil, err
			}
			entries = append(entries, entry)
		}
	}
	slices.Sort(entries)
	return slices.Compact(entries), nil
}

func (s *documentShelf[T]) touch(e *entry[T]) {
	if !e.dirty {
		e.dirty = true
		s.dirty = append(s.dirty, e)
	}
}

func (s *documentShelf[T]) flush(ops []store.Op) ([]store.Op, error) {
	slices.SortFunc(s.dirty, func(a, b *entry[T]) int { return strings.Compare(a.key, b.key) })
	var err error
	for _, e := range s.dirty {
		if ops, err = s.write(ops, e); err != nil {
			return nil, fmt.Errorf("write %s %s: %w", s.docs.name, e.key, err)
		}
	}
	return ops, nil
}

func (s *documentShelf[T]) write(ops []store.Op, e *entry[T]) ([]store.Op, error) {
	e.entries2 = nil
	switch {
	case e.present:
		value, err := s.docs.codec.Marshal(&e.value)
		if err != nil {
			return nil, err
		}
		if e.entries2, err = s.docs.entriesOf(e.key, e.value); err != nil {
			return nil, err
		}
		if s.shared {
			value = append(strconv.AppendInt(nil, int64(s.partition), 10), append([]byte{' '}, value...)...)
		}
		put := store.Put(s.bucket, e.key, value)
		if s.shared && !e.stored {
			put.If = store.IfAbsent() // another partition may have made it meanwhile
		}
		ops = append(ops, put)
	case e.stored:
		ops = append(ops, store.Delete(s.bucket, e.key))
	}
	for _, entry := range e.entries {
		if _, stays := slices.BinarySearch(e.entries2, entry); !stays {
			ops = append(ops, store.Delete(s.bucket+"/index", entry))
		}
	}
	for _, entry := range e.entries2 {
		if _, there := slices.BinarySearch(e.entries, entry); !there {
			ops = append(ops, store.Put(s.bucket+"/index", entry, nil))
		}
	}
	return ops, nil
}

func (s *documentShelf[T]) settle() {
	for _, e := range s.dirty {
		e.dirty, e.stored, e.entries, e.entries2 = false, e.present, e.entries2, nil
	}
	s.dirty = s.dirty[:0]
	if s.store != nil && len(s.recent) >= s.capacity {
		// What was not used since the last turn goes. Then there may be more in the bucket than is on the shelf.
		s.complete = s.complete && len(s.older) == 0
		s.older, s.recent = s.recent, make(map[string]*entry[T], s.capacity)
	}
}
