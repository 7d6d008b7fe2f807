package redisserver

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Shown is an error of a parameter whose text may be shown: it quotes nothing that could be a password.
type Shown string

// Error implements error.
func (s Shown) Error() string { return string(s) }

// ParseURL reads the client's settings out of a URL, and hands parameters that are not the client's to those who know
// them, by name. The error goes on a sentence that begins with "the URL", and shows nothing of the URL: a parser's own
// message may quote a piece of the password. example shows the form.
func ParseURL(serverURL, example string, parameters map[string]func(value string) error) (*redis.Options, error) {
	u, err := url.Parse(serverURL)
	if err != nil {
		return nil, errors.New("is not valid; are the special characters of the password percent-encoded?")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" || u.Opaque != "" {
		return nil, errors.New("must have the form " + example + ", or rediss:// for TLS")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("has a malformed query")
	}
	for name, set := range parameters {
		if !query.Has(name) {
			continue
		}
		if err := set(query.Get(name)); err != nil {
			var shown Shown
			if errors.As(err, &shown) {
				return nil, shown
			}
			return nil, errors.New("has a parameter " + name + " of a wrong form")
		}
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	client, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errors.New(safely(err))
	}
	return client, nil
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
