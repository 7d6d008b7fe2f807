package kafkabroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lexigram.dev/events/broker"
)

// Driver offers the backend by URLs such as
//
//	kafka://user:password@host1:9092,host2:9092?sasl=scram-sha-512&partitions=12&replication=3&client_id=shop
//
// and kafkas:// (or tls=true) for TLS with the system's certificates. Further parameters are create (false is NoCreate),
// max_message_bytes, publish_timeout, session_timeout, revoke_wait and instance_id; they are those of Options.
func Driver() broker.Driver {
	return broker.Driver{
		Name:    "kafka",
		Schemes: []string{"kafka", "kafkas"},
		Example: "kafka://user:password@host1:9092,host2:9092?sasl=scram-sha-512",
		Open: func(ctx context.Context, brokerURL string) (broker.Backend, error) {
			b, err := OpenURL(ctx, brokerURL)
			if err != nil {
				return nil, err
			}
			return b, nil
		},
	}
}

// OpenURL is Open with the options of a URL; see Driver for its form.
func OpenURL(ctx context.Context, brokerURL string) (*Backend, error) {
	o, err := ParseURL(brokerURL)
	if err != nil {
		return nil, err
	}
	return Open(ctx, o)
}

// ParseURL gives the options that a URL stands for, so that a program may change them. Its errors show nothing of the
// URL but the names of parameters.
func ParseURL(brokerURL string) (Options, error) {
	var o Options
	scheme, rest, _ := strings.Cut(brokerURL, "://")
	if scheme != "kafka" && scheme != "kafkas" {
		return o, badURL("must have the form kafka://user:password@host1:9092,host2:9092, or kafkas:// for TLS")
	}
	if scheme == "kafkas" {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// By hand: net/url knows one host only.
	rest, rawQuery, _ := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, _ := strings.Cut(rest[:at], ":")
		var faults [2]error
		o.User, faults[0] = url.PathUnescape(user)
		o.Password, faults[1] = url.PathUnescape(password)
		if errors.Join(faults[:]...) != nil {
			return o, badURL("is not valid; are the special characters of the password percent-encoded?")
		}
		rest = rest[at+1:]
	}
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" || strings.ContainsAny(rest, "/#@ ") {
		return o, badURL("must name hosts, and nothing more than a query after them; are the special characters of the password percent-encoded?")
	}
	o.Brokers = strings.Split(rest, ",")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return o, badURL("has a malformed query")
	}
	return o, takeParameters(query, &o)
}

func takeParameters(query url.Values, o *Options) error {
	parameters := map[string]func(value string) error{
		"client_id":         func(v string) error { o.ClientID = v; return nil },
		"instance_id":       func(v string) error { o.InstanceID = v; return nil },
		"sasl":              func(v string) error { o.SASL = strings.ToLower(v); return nil },
		"partitions":        func(v string) (err error) { o.Partitions, err = strconv.Atoi(v); return err },
		"replication":       func(v string) (err error) { o.Replication, err = strconv.Atoi(v); return err },
		"max_message_bytes": func(v string) (err error) { o.MaxMessageBytes, err = strconv.Atoi(v); return err },
		"publish_timeout":   func(v string) (err error) { o.PublishTimeout, err = time.ParseDuration(v); return err },
		"session_timeout":   func(v string) (err error) { o.SessionTimeout, err = time.ParseDuration(v); return err },
		"revoke_wait":       func(v string) (err error) { o.RevokeWait, err = time.ParseDuration(v); return err },
		"create": func(v string) error {
			create, err := strconv.ParseBool(v)
			o.NoCreate = !create
			return err
		},
		"tls": func(v string) error {
			on, err := strconv.ParseBool(v)
			if on && o.TLS == nil {
				o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			if !on && o.TLS != nil {
				return errors.New("contradicts kafkas://")
			}
			return err
		},
	}
	for name, values := range query {
		set, known := parameters[name]
		if !known {
			return badURL(fmt.Sprintf("has a parameter that is unknown: %.40q", name))
		}
		if len(values) != 1 || set(values[0]) != nil {
			return badURL("has a parameter " + name + " of a wrong form")
		}
	}
	return nil
}

// badURL is an error that shows nothing of the URL, which may hold a password.
func badURL(why string) error {
	return fmt.Errorf("open a Kafka broker: %w", &kindError{broker.ErrInvalid, errors.New("the URL " + why)})
}
