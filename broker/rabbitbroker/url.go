package rabbitbroker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// Driver offers the broker by URLs such as amqp://user:password@host:5672/vhost?exchange=lexigram.events&partitions=4, and
// amqps:// for TLS. The parameters exchange, partitions and mandatory are those of Options; heartbeat (seconds),
// connection_timeout (milliseconds), channel_max, cacertfile, certfile, keyfile, server_name_indication and auth_mechanism
// are those of RabbitMQ's own clients.
func Driver() broker.Driver {
	return broker.Driver{
		Name:    "rabbitmq",
		Schemes: []string{"amqp", "amqps"},
		Example: "amqp://user:password@host:5672/vhost?exchange=lexigram.events&partitions=4",
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
	return &kindError{kind: broker.ErrInvalid, err: errors.New("the URL " + why)}
}

// theirs are the parameters that the client reads.
func theirs() []string {
	return []string{
		"heartbeat", "connection_timeout", "channel_max", "cacertfile", "certfile", "keyfile", "server_name_indication", "auth_mechanism",
	}
}

// parseURL gives the URL for the client, and what it says, and moves the parameters that are ours into the options.
func parseURL(brokerURL string, o *Options) (string, amqp.URI, error) {
	fail := func(why string) (string, amqp.URI, error) { return "", amqp.URI{}, badURL(why) }
	u, err := url.Parse(brokerURL)
	if err != nil {
		return fail("is not valid; are the special characters of the password percent-encoded?")
	}
	if u.Scheme != "amqp" && u.Scheme != "amqps" || u.Opaque != "" {
		return fail("must have the form amqp://user:password@host:5672/vhost?exchange=lexigram.events, or amqps:// for TLS")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("has a malformed query")
	}
	for name := range query {
		value := query.Get(name)
		switch name {
		case "exchange":
			if o.Exchange != "" && o.Exchange != value {
				return fail(fmt.Sprintf("names exchange %q, the options name %q", value, o.Exchange))
			}
			o.Exchange = value
		case "partitions":
			o.Partitions, err = strconv.Atoi(value)
			if err == nil && o.Partitions < 1 {
				err = errors.New("not positive")
			}
		case "mandatory":
			o.Mandatory, err = strconv.ParseBool(value)
		default:
			if !slices.Contains(theirs(), name) {
				return fail(fmt.Sprintf("has a parameter that is unknown: %.40q", name))
			}
			continue
		}
		if err != nil {
			return fail("has a parameter " + name + " of a wrong form")
		}
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	parsed, err := amqp.ParseURI(u.String())
	if err != nil {
		return fail("cannot be used: a setting is not valid")
	}
	if fault := certificates(parsed); fault != "" {
		return fail(fault)
	}
	return u.String(), parsed, nil
}

// certificates tells what is wrong with the files that the URL names; "": nothing. The client itself would look at them only
// when it has reached the server, and takes a file without a certificate for one that trusts nobody.
func certificates(u amqp.URI) string {
	if u.CACertFile != "" {
		text, err := os.ReadFile(u.CACertFile)
		if err != nil || !x509.NewCertPool().AppendCertsFromPEM(text) {
			return "names a cacertfile that cannot be read, or holds no certificate"
		}
	}
	if (u.CertFile == "") != (u.KeyFile == "") {
		return "has one of certfile and keyfile: both are needed"
	}
	if u.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(u.CertFile, u.KeyFile); err != nil {
			return "names a certfile and a keyfile that cannot be read, or do not belong together"
		}
	}
	return ""
}
