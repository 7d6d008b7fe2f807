package rabbitbroker

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"time"

	"lexigram.dev/events/broker"
)

// Options are the settings of a Broker; the zero value works.
type Options struct {
	// Exchange is the topic exchange that messages are published to, and the beginning of the name of every queue.
	// Letters, digits, dots, dashes and underscores, at most 64. Defaults to "lexigram.events".
	Exchange string

	// Partitions is among how many queues a group spreads the messages of a topic that have a key, by the key. It bounds
	// how many members of a group work at the same time on those; one member still handles many keys at once. All users
	// of an exchange must name the same number: it is kept with the exchange, and another one is broker.ErrRefused.
	// 1 to 256. Defaults to 4.
	Partitions int

	// Mandatory makes publishing to a topic that no group has asked for a broker.ErrRefused. Defaults to false: such a
	// message is confirmed and dropped, unless an operator has bound a queue to the alternate exchange.
	Mandatory bool

	// MaxMessageBytes bounds body, key and headers of a message. Raise it, or lower it, with the server's
	// max_message_size. Defaults to 16 MiB, what RabbitMQ 4 takes; older ones take more.
	MaxMessageBytes int

	// DeliveryLimit is after how many deliveries the server itself moves a message to the queue for dead letters of its
	// group. It is a net below the limit of broker.ConsumerOptions, which knows the reason, and so should be well above
	// it. It is kept with each queue: another number is broker.ErrRefused. Defaults to 1,000.
	DeliveryLimit int

	// FullWait is how long Publish waits for a server that takes no messages, because memory or disk run short, before
	// it gives broker.ErrFull. Defaults to 10 s.
	FullWait time.Duration

	// ReconnectFor is how long calls wait for a server that was lost, say while it restarts, before they fail with
	// broker.ErrUnavailable. Their contexts may end sooner. Defaults to 10 s; negative: they try once.
	ReconnectFor time.Duration

	// Rebalance is how often a member that works on more than its share of a topic's partitions gives some up to others.
	// Defaults to 1 s.
	Rebalance time.Duration

	// TLS is for amqps:// URLs. Defaults to what the URL says (cacertfile, certfile, keyfile,
	// server_name_indication), and else to the system's authorities.
	TLS *tls.Config
}

var exchangeName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (o Options) withDefaults() Options {
	o.Exchange = cmp.Or(o.Exchange, "lexigram.events")
	o.Partitions = cmp.Or(o.Partitions, 4)
	o.MaxMessageBytes = cmp.Or(o.MaxMessageBytes, 16<<20)
	o.DeliveryLimit = cmp.Or(o.DeliveryLimit, 1000)
	o.FullWait = cmp.Or(o.FullWait, 10*time.Second)
	o.ReconnectFor = cmp.Or(o.ReconnectFor, 10*time.Second)
	o.Rebalance = cmp.Or(o.Rebalance, time.Second)
	return o
}

func (o Options) validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(!exchangeName.MatchString(o.Exchange), "exchange %.80q: must be 1 to 64 letters, digits, dots, dashes and underscores", o.Exchange)
	fault(o.Partitions < 1 || o.Partitions > 256, "partitions %d: must be 1 to 256", o.Partitions)
	fault(o.MaxMessageBytes < 1, "largest message %d: must be at least 1 byte", o.MaxMessageBytes)
	fault(o.DeliveryLimit < 1, "delivery limit %d: must be at least 1", o.DeliveryLimit)
	fault(o.FullWait < 0, "full wait %v: must not be negative", o.FullWait)
	fault(o.Rebalance < time.Millisecond, "rebalance %v: must be at least 1ms", o.Rebalance)
	if err := errors.Join(faults...); err != nil {
		return &kindError{kind: broker.ErrInvalid, err: err}
	}
	return nil
}
