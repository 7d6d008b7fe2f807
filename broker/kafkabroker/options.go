package kafkabroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"lexigram.dev/events/broker"
)

// Options are the settings of a Backend. Brokers is required; the other zero values work.
type Options struct {
	// Brokers are the hosts, with their ports, that are asked for the cluster. The port defaults to 9092.
	Brokers []string

	// ClientID names this program to the broker, for its logs and quotas. Defaults to "lexigram-events".
	ClientID string

	// NoCreate leaves missing topics missing: to publish or declare is then refused. Topics are created otherwise, when
	// they are published to or declared first.
	NoCreate bool

	// Partitions is how many partitions a topic gets that is created: at most so many members of a group share it.
	// Defaults to 12.
	Partitions int

	// Replication is the replication factor of a topic that is created. Defaults to the broker's own default.
	Replication int

	// TopicConfig are the settings of a topic that is created, such as "retention.ms". Defaults to the broker's own.
	TopicConfig map[string]string

	// MaxMessageBytes bounds body, key and headers of a message. Defaults to 1,000,000, or less where the broker's
	// message.max.bytes is less.
	MaxMessageBytes int

	// PublishTimeout bounds how long Publish waits for the broker to confirm, and how long a message that was not sent
	// yet is kept. Defaults to 30 s.
	PublishTimeout time.Duration

	// SessionTimeout is how long a member may be silent before its partitions go to others. It says so much about itself
	// fifteen times in it. Defaults to 15 s.
	SessionTimeout time.Duration

	// RevokeWait bounds how long a member that must leave a partition finishes what it has begun there; the others wait.
	// Defaults to 30 s.
	RevokeWait time.Duration

	// InstanceID makes the members static: a process that comes back under this name within SessionTimeout gets its
	// partitions back without a rebalance. Streams then do not say goodbye when they are closed. Each process needs a
	// name of its own. Defaults to "": members are dynamic.
	InstanceID string

	// SASL is the mechanism by which User and Password are shown: "plain", "scram-sha-256" or "scram-sha-512". Defaults
	// to "scram-sha-512" where there is a User.
	SASL           string
	User, Password string

	// TLS is the configuration of encrypted connections. Defaults to nil: they are not encrypted.
	TLS *tls.Config

	// Dial makes the connections. Defaults to a net.Dialer's DialContext with a timeout of 10 s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	if o.ClientID == "" {
		o.ClientID = "lexigram-events"
	}
	if o.Partitions == 0 {
		o.Partitions = 12
	}
	if o.Replication == 0 {
		o.Replication = -1
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = 1_000_000
	}
	if o.PublishTimeout == 0 {
		o.PublishTimeout = 30 * time.Second
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = 15 * time.Second
	}
	if o.RevokeWait == 0 {
		o.RevokeWait = 30 * time.Second
	}
	if o.SASL == "" && o.User != "" {
		o.SASL = scramSHA512
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return o
}

const (
	saslPlain   = "plain"
	scramSHA256 = "scram-sha-256"
	scramSHA512 = "scram-sha-512"
)

func (o Options) validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, &kindError{broker.ErrInvalid, fmt.Errorf(format, args...)})
		}
	}
	fault(len(o.Brokers) == 0, "no brokers are named")
	for _, host := range o.Brokers {
		fault(host == "", "the name of a broker is empty")
	}
	fault(o.Partitions < 1, "partitions %d: must be at least 1", o.Partitions)
	fault(o.Replication < -1 || o.Replication > 1<<15-1, "replication %d: must be at least 1", o.Replication)
	fault(o.MaxMessageBytes < 1 || o.MaxMessageBytes > 100<<20, "message size %d: must be between 1 and %d", o.MaxMessageBytes, 100<<20)
	fault(o.PublishTimeout < time.Second, "publish timeout %v: must be at least 1 s", o.PublishTimeout)
	fault(o.SessionTimeout < time.Second, "session timeout %v: must be at least 1 s", o.SessionTimeout)
	fault(o.RevokeWait < 0, "revoke wait %v: must not be negative", o.RevokeWait)
	switch o.SASL {
	case "":
	case saslPlain, scramSHA256, scramSHA512:
		fault(o.User == "" || o.Password == "", "SASL %s needs a user and a password", o.SASL)
	default:
		fault(true, "unknown SASL mechanism; there are %s, %s and %s", saslPlain, scramSHA256, scramSHA512)
	}
	return errors.Join(faults...)
}
