package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// program marks a store as ours.
const program = "lexigram-events"

// schema is the version of the keys that this program works with. The scripts check it at every write.
const schema = 1

// meta is what the store says about itself.
type meta struct {
	program string // "": there is no store
	schema  int
	head    event.Position
}

func (b *Backend) readMeta(ctx context.Context) (m meta, err error) {
	r, err := b.ask(ctx, b.reads, []any{"hmget", b.keys.meta, "program", "schema", "head"})
	if err != nil {
		return m, err
	}
	r.array()
	m.program = string(r.bytes())
	number, head := r.bytes(), r.bytes()
	if r.err != nil {
		return m, r.err
	}
	if m.program == "" && number == nil {
		return m, nil
	}
	var err1, err2 error
	m.schema, err1 = strconv.Atoi(string(number))
	position, err2 := strconv.ParseInt(string(head), 10, 64)
	m.head = event.Position(position)
	if m.program != program || err1 != nil || err2 != nil {
		return m, foreign(b.keys.meta)
	}
	return m, nil
}

// check makes sure that server and store are such as this program works with, making the store if so asked.
func (b *Backend) check(ctx context.Context) error {
	s, err := b.askServer(ctx)
	if err == nil {
		err = check(s, b.options.ReadOnly)
	}
	var m meta
	if err == nil {
		m, err = b.readMeta(ctx)
	}
	if err != nil {
		return b.explain(ctx, err)
	}
	faults := s.Faults(things)
	if len(faults) > 0 && b.options.RequireDurable {
		return &kindError{kind: store.ErrIncompatible, err: errors.New("durability is required, but " + strings.Join(faults, "; "))}
	}
	switch {
	case m.schema > schema:
		return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("the store is of version %d, this program knows up to %d: use a newer program", m.schema, schema)}
	case m.program != "" && m.schema < schema: // there has never been one
		return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("the store is of version %d, needed is %d", m.schema, schema)}
	case m.program == "" && !b.options.AutoMigrate:
		return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("there is no store %s: run `lexevents migrate up --store …`", b.options.Name)}
	}
	if m.program == "" {
		if _, err := b.create(ctx); err != nil {
			return err
		}
	}
	if len(faults) > 0 && !b.options.ReadOnly {
		b.options.OnWarning(fmt.Sprintf("the redis store %s is not durable: %s", b.location, strings.Join(faults, "; ")))
	}
	return nil
}

// create makes the store, and reports whether it was not there.
func (b *Backend) create(ctx context.Context) (made bool, err error) {
	k := &b.keys
	r, err := b.run(ctx, b.writes, &b.scripts.create, []string{k.meta, k.ids, k.cut, k.names, k.expiry}, k.pages, program, schema)
	if err != nil {
		return false, b.explain(ctx, err)
	}
	made = r.int() == 1
	if r.err != nil {
		return false, r.err
	}
	return made, b.confirm(ctx)
}

// Migrations implements store.Migrator.
func (b *Backend) Migrations(ctx context.Context) ([]store.Migration, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	m, err := b.readMeta(ctx)
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return []store.Migration{{Number: 1, Name: "store", Applied: m.schema >= 1}}, nil
}

// Migrate implements store.Migrator.
func (b *Backend) Migrate(ctx context.Context) ([]store.Migration, error) {
	if b.options.ReadOnly {
		return nil, readOnly()
	}
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	s, err := b.askServer(ctx)
	if err == nil {
		err = check(s, false)
	}
	if err == nil {
		_, err = b.readMeta(ctx) // of another program?
	}
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	made, err := b.create(ctx)
	if err != nil || !made {
		return nil, err
	}
	return []store.Migration{{Number: 1, Name: "store", Applied: true}}, nil
}
