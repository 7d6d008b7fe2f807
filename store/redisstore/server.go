package redisstore

import (
	"context"
	"errors"
	"fmt"

	"lexigram.dev/events/internal/redisserver"
	"lexigram.dev/events/store"
)

// things are what we keep, in warnings.
const things = "events"

// askServer reads INFO and, where that is allowed, CONFIG.
func (b *Backend) askServer(ctx context.Context) (redisserver.Facts, error) {
	node, err := b.node(ctx, b.reads)
	if err != nil {
		return redisserver.Facts{}, err
	}
	r, err := b.ask(ctx, node, []any{"info"})
	if err != nil {
		return redisserver.Facts{}, err
	}
	info := string(r.text())
	if r.err != nil {
		return redisserver.Facts{}, r.err
	}
	return redisserver.Read(info, func(name string) (value string, told bool, err error) {
		r, err := b.ask(ctx, node, []any{"config", "get", name})
		if _, refused := asServerError(err); refused {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		if r.pairs() > 0 {
			r.bytes()
			value = string(r.bytes())
		}
		return value, true, r.err
	})
}

// check refuses a server that cannot keep a store.
func check(f redisserver.Facts, readOnly bool) error {
	if f.Replica && !readOnly {
		return &kindError{kind: store.ErrReadOnly, err: errors.New("the server is a replica: name its primary")}
	}
	if !f.Supported() {
		return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("the server is %s %s, needed is Redis 6.2 or newer, or Valkey", f.Name, f.Version)}
	}
	return nil
}

// text gives the answer as a string, also where it is marked as verbatim.
func (r *reply) text() []byte {
	if len(r.rest) > 0 && r.rest[0] == '=' {
		r.rest = append([]byte{'$'}, r.rest[1:]...)
		return r.bytes()[len("txt:"):]
	}
	return r.bytes()
}

// pairs gives how many names and values follow, in a map or an array.
func (r *reply) pairs() int {
	kind, line := r.line()
	switch kind {
	case '%':
		return int(r.number(line))
	case '*':
		return int(r.number(line)) / 2
	}
	r.fail(errReply)
	return 0
}
