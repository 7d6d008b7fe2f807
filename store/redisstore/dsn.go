package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/internal/redisserver"
	"lexigram.dev/events/store"
)

// Driver offers the backend by URLs such as redis://user:password@host:6379/0?name=lexigram, and rediss:// for TLS. The
// parameters name, require_durable, wait_replicas, wait_timeout and reconnect_for are those of Options; all parameters
// of redis.ParseURL work too (pool_size, dial_timeout, read_timeout and so on).
func Driver() store.Driver {
	return store.Driver{
		Name:    "redis",
		Schemes: []string{"redis", "rediss"},
		Example: "redis://user:password@host:6379/0?name=lexigram",
		Open: func(ctx context.Context, storeURL string, o store.OpenOptions) (store.Backend, error) {
			b, err := Open(ctx, storeURL, Options{AutoMigrate: o.AutoMigrate, ReadOnly: o.ReadOnly, Pending: o.Pending})
			if err != nil {
				return nil, err
			}
			return b, nil
		},
	}
}

// parseURL reads the client's settings, and moves the parameters that are ours into the options.
func parseURL(storeURL string, o *Options) (*redis.Options, error) {
	client, err := redisserver.ParseURL(storeURL, Driver().Example, map[string]func(value string) error{
		"name": func(v string) error {
			if o.Name != "" && o.Name != v {
				return redisserver.Shown(fmt.Sprintf("names store %q, the options name %q", v, o.Name))
			}
			o.Name = v
			return nil
		},
		"require_durable": func(v string) (err error) { o.RequireDurable, err = strconv.ParseBool(v); return err },
		"wait_replicas":   func(v string) (err error) { o.WaitReplicas, err = strconv.Atoi(v); return err },
		"wait_timeout":    func(v string) (err error) { o.WaitTimeout, err = time.ParseDuration(v); return err },
		"reconnect_for":   func(v string) (err error) { o.ReconnectFor, err = time.ParseDuration(v); return err },
	})
	if err != nil {
		return nil, fmt.Errorf("open a redis store: %w", &kindError{kind: store.ErrInvalid, err: fmt.Errorf("the URL %w", err)})
	}
	return client, nil
}
