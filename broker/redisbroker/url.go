package redisbroker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/internal/redisserver"
)

// Driver offers the broker by URLs such as redis://user:password@host:6379/0?prefix=lexigram, and rediss:// for TLS. The
// parameters prefix, partitions, lease, retain, max_len, max_age, require_durable, wait_replicas and wait_timeout are those
// of Options; all parameters of redis.ParseURL work too (pool_size, dial_timeout, read_timeout and so on).
func Driver() broker.Driver {
	return broker.Driver{
		Name:    "redis",
		Schemes: []string{"redis", "rediss"},
		Example: "redis://user:password@host:6379/0?prefix=lexigram",
		Open: func(ctx context.Context, brokerURL string) (broker.Backend, error) {
			b, err := Open(ctx, brokerURL, Options{})
			if err != nil {
				return nil, err
			}
			return b, nil
		},
	}
}

// parseURL reads the client's settings, and moves the parameters that are ours into the options.
func parseURL(brokerURL string, o *Options) (*redis.Options, error) {
	number := func(to *int) func(string) error {
		return func(v string) (err error) { *to, err = strconv.Atoi(v); return err }
	}
	duration := func(to *time.Duration) func(string) error {
		return func(v string) (err error) { *to, err = time.ParseDuration(v); return err }
	}
	client, err := redisserver.ParseURL(brokerURL, Driver().Example, map[string]func(value string) error{
		"prefix":          func(v string) error { o.Prefix = v; return nil },
		"partitions":      number(&o.Partitions),
		"lease":           duration(&o.Lease),
		"retain":          number(&o.Retain),
		"max_len":         number(&o.MaxLen),
		"max_age":         duration(&o.MaxAge),
		"require_durable": func(v string) (err error) { o.RequireDurable, err = strconv.ParseBool(v); return err },
		"wait_replicas":   number(&o.WaitReplicas),
		"wait_timeout":    duration(&o.WaitTimeout),
	})
	if err != nil {
		return nil, fmt.Errorf("open a redis broker: %w", &kindError{kind: broker.ErrInvalid, err: fmt.Errorf("the URL %w", err)})
	}
	return client, nil
}
