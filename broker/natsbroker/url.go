package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"lexigram.dev/events/broker"
)

// Driver offers the backend by URLs such as nats://user:password@host:4222?stream=lexigram; several hosts of a cluster are
// divided by commas. Parameters: stream, prefix, create (false: Options.NoCreate), partitions, lease, retention (limits,
// interest, workqueue), replicas, memory, max_age, max_bytes, dedupe, sync_always and timeout are those of Options; token,
// creds (a file), nkey (a file with a seed), tls (true), tls_ca, tls_cert and tls_key (files) are the connection's.
func Driver() broker.Driver {
	return broker.Driver{
		Name:    "nats",
		Schemes: []string{"nats", "tls+nats"},
		Example: "nats://user:password@host:4222?stream=lexigram",
		Open: func(ctx context.Context, brokerURL string) (broker.Backend, error) {
			b, err := Open(ctx, brokerURL, Options{})
			if err != nil {
				return nil, err
			}
			return b, nil
		},
	}
}

// settings say how to reach the servers.
type settings struct {
	hosts  []string // URLs without secrets
	client []nats.Option
}

// badURL is an error that shows nothing of the URL: a parser's own message may quote a piece of the password.
func badURL(why string) error {
	return &kindError{kind: broker.ErrInvalid, err: errors.New("the URL " + why)}
}

// parseURL reads how to reach the servers, and moves the parameters that are ours into the options.
func parseURL(brokerURL string, o *Options) (settings, error) {
	var s settings
	scheme, rest, _ := strings.Cut(brokerURL, "://")
	rest, rawQuery, _ := strings.Cut(rest, "?")
	secrets, hosts := "", rest
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		secrets, hosts = rest[:at], rest[at+1:]
	}
	query, err := url.ParseQuery(rawQuery)
	hosts = strings.TrimSuffix(hosts, "/")
	if scheme != "nats" && scheme != "tls+nats" || hosts == "" || strings.ContainsAny(hosts, "/#") || err != nil {
		return s, badURL("must have the form nats://user:password@host:4222?stream=lexigram; are the special characters of the password percent-encoded?")
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if u, err := url.Parse("nats://" + host); err != nil || u.Hostname() == "" {
			return s, badURL("names a host that is not valid")
		}
		s.hosts = append(s.hosts, "nats://"+host)
	}
	if err := s.credentials(secrets); err != nil {
		return s, err
	}
	if scheme == "tls+nats" {
		s.client = append(s.client, nats.Secure())
	}
	if err := s.takeClient(query); err != nil {
		return s, err
	}
	if err := takeOptions(query, o); err != nil {
		return s, err
	}
	for name := range query {
		return s, badURL(fmt.Sprintf("has a parameter that is unknown: %.40q", name))
	}
	return s, nil
}

func (s *settings) credentials(secrets string) error {
	if secrets == "" {
		return nil
	}
	user, password, both := strings.Cut(secrets, ":")
	user, err := url.PathUnescape(user)
	if err == nil {
		password, err = url.PathUnescape(password)
	}
	if err != nil {
		return badURL("has a user or password that is not percent-encoded")
	}
	if both {
		s.client = append(s.client, nats.UserInfo(user, password))
	} else {
		s.client = append(s.client, nats.Token(user))
	}
	return nil
}

// takeClient moves the parameters of the connection.
func (s *settings) takeClient(query url.Values) error {
	take := func(name string) string {
		value := query.Get(name)
		query.Del(name)
		return value
	}
	if token := take("token"); token != "" {
		s.client = append(s.client, nats.Token(token))
	}
	if file := take("creds"); file != "" {
		s.client = append(s.client, nats.UserCredentials(file))
	}
	if file := take("nkey"); file != "" {
		option, err := nats.NkeyOptionFromSeed(file)
		if err != nil {
			return badURL("names an nkey file that cannot be used")
		}
		s.client = append(s.client, option)
	}
	switch tls := take("tls"); tls {
	case "true":
		s.client = append(s.client, nats.Secure())
	case "", "false":
	default:
		return badURL("has a parameter tls that is not true or false")
	}
	if file := take("tls_ca"); file != "" {
		s.client = append(s.client, nats.RootCAs(file))
	}
	cert, key := take("tls_cert"), take("tls_key")
	if (cert == "") != (key == "") {
		return badURL("has one of tls_cert and tls_key: both are needed")
	}
	if cert != "" {
		s.client = append(s.client, nats.ClientCert(cert, key))
	}
	return nil
}

var retentions = map[string]Retention{"limits": Limits, "interest": Interest, "workqueue": WorkQueue} //nolint:gochecknoglobals // a table

// takeOptions moves the parameters that are ours.
func takeOptions(query url.Values, o *Options) error {
	number := func(to *int) func(string) error {
		return func(v string) (err error) { *to, err = strconv.Atoi(v); return err }
	}
	truth := func(to *bool) func(string) error {
		return func(v string) (err error) { *to, err = strconv.ParseBool(v); return err }
	}
	duration := func(to *time.Duration) func(string) error {
		return func(v string) (err error) { *to, err = time.ParseDuration(v); return err }
	}
	for name, set := range map[string]func(value string) error{
		"stream": func(v string) error { o.Stream = v; return nil },
		"prefix": func(v string) error { o.Prefix = v; return nil },
		"create": func(v string) error {
			create, err := strconv.ParseBool(v)
			o.NoCreate = !create
			return err
		},
		"partitions": number(&o.Partitions), "replicas": number(&o.Replicas),
		"lease": duration(&o.Lease), "max_age": duration(&o.MaxAge), "dedupe": duration(&o.Dedupe), "timeout": duration(&o.Timeout),
		"memory": truth(&o.InMemory), "sync_always": truth(&o.SyncAlways),
		"max_bytes": func(v string) (err error) { o.MaxBytes, err = strconv.ParseInt(v, 10, 64); return err },
		"retention": func(v string) error {
			r, known := retentions[v]
			if !known {
				return errors.New("unknown")
			}
			o.Retention = r
			return nil
		},
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
