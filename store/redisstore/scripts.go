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
	append, find, stream, selecting, streams, truncate, get, scan, apply, create, imports, records script
}

func loadScripts() (s scripts, err error) {
	prelude, err := scriptFiles.ReadFile("scripts/prelude.lua")
	if err != nil {
		return s, err
	}
	for name, to := range map[string]*script{
		"append": &s.append, "find": &s.find, "stream": &s.stream, "select": &s.selecting, "streams": &s.streams,
		"truncate": &s.truncate, "get": &s.get, "scan": &s.scan, "apply": &s.apply, "create": &s.create,
		"import": &s.imports, "records": &s.records,
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

// ask sends one command. The command must not hold bytes that the caller's caller may change after ctx has ended.
func (b *Backend) ask(ctx context.Context, client redis.UniversalClient, command []any) (r *reply, err error) {
	var answer *reply
	if err := b.during(ctx, func() (err error) {
		answer, err = send(ctx, client, command)
		return err
	}); err != nil {
		return nil, err
	}
	return answer, nil
}

// during runs fn, which talks to the server, and returns when it does or when ctx ends. The connection is then given
// back when the answer comes or the client's read timeout is over, which Close waits for. What fn sets must not be
// looked at after an error.
func (b *Backend) during(ctx context.Context, fn func() error) error {
	if ctx.Done() == nil {
		return fn()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !b.enter() {
		return store.ErrClosed
	}
	done := make(chan error, 1)
	go func() {
		defer b.asking.Done()
		done <- fn()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send sends a command in the caller's goroutine. On a cluster it follows the slot when it has moved.
func send(ctx context.Context, client redis.UniversalClient, command []any) (*reply, error) {
	for try := 0; ; try++ {
		raw := redis.NewRawCmd(ctx, command...)
		if err := client.Process(ctx, raw); err != nil {
			return nil, err
		}
		text, err := raw.Bytes()
		if err == nil && len(text) > 0 && text[0] == '-' {
			err = (&reply{rest: text}).failure()
		}
		answer, ok := asServerError(err)
		cluster, many := client.(*redis.ClusterClient)
		if ok && many && try < 3 && answer.says("MOVED") { // raw answers are not looked at by the client
			cluster.ReloadState(ctx)
			continue
		}
		if err != nil {
			return nil, err
		}
		return &reply{rest: text}, nil
	}
}

// failure gives the error that an answer consists of.
func (r *reply) failure() error {
	r.line()
	return r.err
}
