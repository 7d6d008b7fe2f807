package redisstore

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

// badURL is an error that shows nothing of the URL: a parser's own message may quote a piece of the password.
func badURL(why string) error {
	return fmt.Errorf("open a redis store: %w", &kindError{kind: store.ErrInvalid, err: errors.New("the URL " + why)})
}

// parseURL reads the client's settings, and moves the parameters that are ours into the options.
func parseURL(storeURL string, o *Options) (*redis.Options, error) {
	u, err := url.Parse(storeURL)
	if err != nil {
		return nil, badURL("is not valid; are the special characters of the password percent-encoded?")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" || u.Opaque != "" {
		return nil, badURL("must have the form redis://user:password@host:6379/0?name=lexigram, or rediss:// for TLS")
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
	for name, set := range map[string]func(value string) error{
		"name": func(v string) error {
			if o.Name != "" && o.Name != v {
				return fmt.Errorf("names store %q, the options name %q", v, o.Name)
			}
			o.Name = v
			return nil
		},
		"require_durable": func(v string) (err error) { o.RequireDurable, err = strconv.ParseBool(v); return err },
		"wait_replicas":   func(v string) (err error) { o.WaitReplicas, err = strconv.Atoi(v); return err },
		"wait_timeout":    func(v string) (err error) { o.WaitTimeout, err = time.ParseDuration(v); return err },
		"reconnect_for":   func(v string) (err error) { o.ReconnectFor, err = time.ParseDuration(v); return err },
	} {
		if !query.Has(name) {
			continue
		}
		if err := set(query.Get(name)); err != nil {
			if name == "name" {
				return badURL(err.Error())
			}
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
