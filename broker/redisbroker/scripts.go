package redisbroker

import (
	"context"
	"embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

// scripts are one for each operation.
type scripts struct {
	topic, declare, join, leave, take, release, trim, backlog, count, remove *redis.Script
}

func loadScripts() (s scripts, err error) {
	prelude, err := scriptFiles.ReadFile("scripts/prelude.lua")
	if err != nil {
		return s, err
	}
	for name, to := range map[string]**redis.Script{
		"topic": &s.topic, "declare": &s.declare, "join": &s.join, "leave": &s.leave, "take": &s.take, "release": &s.release,
		"trim": &s.trim, "backlog": &s.backlog, "count": &s.count, "remove": &s.remove,
	} {
		body, err := scriptFiles.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			return s, fmt.Errorf("script %s: %w", name, err)
		}
		*to = redis.NewScript(string(prelude) + string(body))
	}
	return s, nil
}

// run calls a script on a topic, and gives its answer.
func (b *Backend) run(ctx context.Context, s *redis.Script, k keys, args ...any) (any, error) {
	var result any
	err := b.during(ctx, func() (err error) {
		result, err = s.Run(ctx, b.client, []string{k.topic()}, args...).Result()
		return err
	})
	if err != nil {
		return nil, translate(ctx, err)
	}
	return result, nil
}

// runInt calls a script that answers with a number.
func (b *Backend) runInt(ctx context.Context, s *redis.Script, k keys, args ...any) (int, error) {
	result, err := b.run(ctx, s, k, args...)
	if err != nil {
		return 0, err
	}
	n, ok := result.(int64)
	if !ok {
		return 0, errReply("%T in place of a number", result)
	}
	return int(n), nil
}
