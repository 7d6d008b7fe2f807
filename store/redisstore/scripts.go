package redisstore

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name that Redis gives to a script
	"embed"
	"encoding/hex"
	"fmt"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/store"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

// script is a Lua script and the name under which the server caches it.
type script struct{ text, hash string }

// scripts are one for each operation.
type scripts struct {
	append, find, stream, selecting, streams, truncate, get, scan, apply, create script
}

func loadScripts() (s scripts, err error) {
	prelude, err := scriptFiles.ReadFile("scripts/prelude.lua")
	if err != nil {
		return s, err
	}
	for name, to := range map[string]*script{
		"append": &s.append, "find": &s.find, "stream": &s.stream, "select": &s.selecting, "streams": &s.streams,
		"truncate": &s.truncate, "get": &s.get, "scan": &s.scan, "apply": &s.apply, "create": &s.create,
	} {
		body, err := scriptFiles.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			return s, fmt.Errorf("script %s: %w", name, err)
		}
		to.text = string(prelude) + string(body)
		sum := sha1.Sum([]byte(to.text)) //nolint:gosec // see above
		to.hash = hex.EncodeToString(sum[:])
	}
	return s, nil
}

// run calls a script and gives the raw answer. The server may have forgotten the script, by a restart say; then it is
// sent whole.
func (b *Backend) run(ctx context.Context, client redis.UniversalClient, s *script, keys []string, args ...any) (*reply, error) {
	command := make([]any, 3, 3+len(keys)+len(args))
	command[0], command[1], command[2] = "evalsha", s.hash, len(keys)
	for _, k := range keys {
		command = append(command, k)
	}
	command = append(command, args...)
	r, err := b.ask(ctx, client, command)
	if answer, ok := asServerError(err); ok && answer.says("NOSCRIPT") {
		command[0], command[1] = "eval", s.text
		r, err = b.ask(ctx, client, command)
	}
	return r, err
}

// ask sends one command.
func (b *Backend) ask(ctx context.Context, client redis.UniversalClient, command []any) (*reply, error) {
	replies, err := b.askAll(ctx, client, [][]any{command})
	if err != nil {
		return nil, err
	}
	return replies[0], nil
}

// askAll sends commands in one go. When ctx ends it returns at once; the connection is given back when the answer comes
// or the client's read timeout is over, which Close waits for. The commands must not hold bytes that the caller's caller
// may change then.
func (b *Backend) askAll(ctx context.Context, client redis.UniversalClient, commands [][]any) ([]*reply, error) {
	if ctx.Done() == nil {
		return send(ctx, client, commands)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type answer struct {
		replies []*reply
		err     error
	}
	done := make(chan answer, 1)
	if !b.enter() {
		return nil, store.ErrClosed
	}
	go func() {
		defer b.asking.Done()
		replies, err := send(ctx, client, commands)
		done <- answer{replies, err}
	}()
	select {
	case a := <-done:
		return a.replies, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send does what askAll promises, in the caller's goroutine. On a cluster it follows the slot when it has moved.
func send(ctx context.Context, client redis.UniversalClient, commands [][]any) ([]*reply, error) {
	for try := 0; ; try++ {
		replies, err := sendOnce(ctx, client, commands)
		answer, ok := asServerError(err)
		cluster, many := client.(*redis.ClusterClient)
		if !ok || !many || try == 3 || !answer.says("MOVED") {
			return replies, err
		}
		cluster.ReloadState(ctx)
	}
}

func sendOnce(ctx context.Context, client redis.UniversalClient, commands [][]any) ([]*reply, error) {
	raw := make([]*redis.RawCmd, len(commands))
	for i, c := range commands {
		raw[i] = redis.NewRawCmd(ctx, c...)
	}
	if len(raw) == 1 {
		if err := client.Process(ctx, raw[0]); err != nil {
			return nil, err
		}
	} else if _, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, c := range raw {
			if err := p.Process(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	replies := make([]*reply, len(raw))
	for i, c := range raw {
		text, err := c.Bytes()
		if err == nil && len(text) > 0 && text[0] == '-' {
			err = (&reply{rest: text}).failure()
		}
		if err != nil {
			return nil, err
		}
		replies[i] = &reply{rest: text}
	}
	return replies, nil
}

// failure gives the error that an answer consists of.
func (r *reply) failure() error {
	r.line()
	return r.err
}
