package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
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

// badURL is an error that shows nothing of the URL: a parser's own message may quote a piece of the password.
func badURL(why string) error {
	return fmt.Errorf("open a redis broker: %w", &kindError{kind: broker.ErrInvalid, err: errors.New("the URL " + why)})
}

// parseURL reads the client's settings, and moves the parameters that are ours into the options.
func parseURL(brokerURL string, o *Options) (*redis.Options, error) {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return nil, badURL("is not valid; are the special characters of the password percent-encoded?")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" || u.Opaque != "" {
		return nil, badURL("must have the form redis://user:password@host:6379/0?prefix=lexigram, or rediss:// for TLS")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, badURL("has a malformed query")
	}
	if err := takeOptions(query, o); err != nil {
		return nil, err
	}
	u.RawQuery = query.Encode()
	client, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, badURL(safely(err))
	}
	return client, nil
}

// takeOptions moves the parameters that are ours.
func takeOptions(query url.Values, o *Options) error {
	number := func(to *int) func(string) error {
		return func(v string) (err error) { *to, err = strconv.Atoi(v); return err }
	}
	duration := func(to *time.Duration) func(string) error {
		return func(v string) (err error) { *to, err = time.ParseDuration(v); return err }
	}
	for name, set := range map[string]func(value string) error{
		"prefix":          func(v string) error { o.Prefix = v; return nil },
		"partitions":      number(&o.Partitions),
		"lease":           duration(&o.Lease),
		"retain":          number(&o.Retain),
		"max_len":         number(&o.MaxLen),
		"max_age":         duration(&o.MaxAge),
		"require_durable": func(v string) (err error) { o.RequireDurable, err = strconv.ParseBool(v); return err },
		"wait_replicas":   number(&o.WaitReplicas),
		"wait_timeout":    duration(&o.WaitTimeout),
	} {
		if !query.Has(name) {
			continue
		}
		if err := set(query.Get(name)); err != nil {
			return badURL("has a parameter " + name + " of a wrong form")
		}
		query.Del(name)
	}
	return nil
}

var plainNames = regexp.MustCompile(`^[a-z_]+(, [a-z_]+)*$`)

// safely gives what can be told of an error of redis.ParseURL.
func safely(err error) string {
	if _, names, ok := strings.Cut(err.Error(), "unexpected option: "); ok && plainNames.MatchString(names) {
		return "has a parameter that is unknown: " + names
	}
	if strings.Contains(err.Error(), "database number") {
		return "has a path that is not the number of a database"
	}
	return "cannot be used: a setting is not valid"
}
