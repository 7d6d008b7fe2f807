package rabbitbroker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
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
	return u.String(), parsed, nil
}
