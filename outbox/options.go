package outbox

import (
	"cmp"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/cloudevents"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// Options are the settings of a Relay; the zero value works.
type Options struct {
	// Filter chooses the events by category, stream, type and tags, in the backend. Defaults to all.
	Filter store.Filter

	// Start is where a relay begins that has no checkpoint yet. Defaults to the first event.
	Start subscription.Start

	// Map makes the messages of an event: none, one or several. Where they are empty, ID becomes the event's id (for the
	// second one, with ".2"), Key the stream and Topic what the option says. Give the same ids each time. An error, or a
	// panic, makes the event a dead letter at once. It is called from several goroutines. Defaults to CloudEvent.
	Map func(e event.Recorded) ([]broker.Message, error)

	// Topic names the topic of an event's messages. Defaults to TopicPrefix and the category, with "_" in the place of
	// all but letters, digits, "-" and "_".
	Topic func(e event.Recorded) string

	// TopicPrefix begins the default topics. Defaults to "events.".
	TopicPrefix string

	// EventSource is the source attribute of the CloudEvents: a URI reference that tells this log from others. Defaults to
	// a slash and the relay's name.
	EventSource string

	// Partitions is how many parts of the streams are published at the same time. It belongs to the name, as with any
	// subscription. Defaults to 1.
	Partitions int

	// BatchEvents is how many events are in flight at most, per partition. Defaults to 500.
	BatchEvents int

	// PublishTimeout bounds each call of the broker. Defaults to 30 s.
	PublishTimeout time.Duration

	// Retry says how often an event is tried whose failure may be its own fault, and how long an outage of the broker is
	// waited out between two attempts; that does not count. One that the broker refuses for good becomes a dead letter at
	// once. Attempts defaults to 4, Initial to 100 ms, Max to 10 s.
	Retry broker.Retry

	// PollInterval, Lease and Owner are those of the subscription. Default as there.
	PollInterval time.Duration
	Lease        time.Duration
	Owner        string

	// OnError is told of each failure; it must be safe for concurrent use. Defaults to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

func (o Options) withDefaults(name string) Options {
	o.TopicPrefix = cmp.Or(o.TopicPrefix, "events.")
	o.EventSource = cmp.Or(o.EventSource, "/"+url.PathEscape(name))
	if o.Topic == nil {
		prefix := o.TopicPrefix
		o.Topic = func(e event.Recorded) string { return prefix + topicPart(e.Stream.Category()) }
	}
	if o.Map == nil {
		topic, source := o.Topic, o.EventSource
		o.Map = func(e event.Recorded) ([]broker.Message, error) {
			m, err := CloudEvent(e, source, topic(e))
			return []broker.Message{m}, err
		}
	}
	o.BatchEvents = cmp.Or(o.BatchEvents, 500)
	o.PublishTimeout = cmp.Or(o.PublishTimeout, 30*time.Second)
	o.Retry = o.Retry.WithDefaults()
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Warn("outbox", slog.String("relay", name), slog.Any("error", err)) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) validate() error {
	c := checks{}
	c.positive("publish timeout", o.PublishTimeout)
	c.retry(o.Retry)
	_, err := url.Parse(o.EventSource)
	c.check(err == nil, "event source %q: must be a URI reference: %v", o.EventSource, err)
	return errors.Join(c...)
}

// CloudEvent makes the message of an event as CloudEvents 1.0 say, in binary mode: the attributes are headers (ce-id,
// ce-type, …), the data is the body. Its id is that of the event, its key the stream. A Map that changes the event first
// calls it too.
func CloudEvent(e event.Recorded, source, topic string) (broker.Message, error) {
	return cloudevents.Encode(cloudevents.FromRecorded(e, source), topic)
}

// topicPart makes one part of a topic.
func topicPart(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, s)
}
