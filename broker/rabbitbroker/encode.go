package rabbitbroker

import (
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// The headers that are ours alone: the port's headers have no colon.
const (
	headerKey        = "lexigram:key"
	headerID         = "lexigram:id"         // where it is too long for the property
	headerTime       = "lexigram:time"       // ms since 1970; the property has seconds only
	headerDeliveries = "lexigram:deliveries" // before the message was put into a delay queue
	headerEscape     = "lexigram:h:"         // before a header's name that the server uses, too
)

// CloudEvents' binding for AMQP names the attributes with either prefix; it is to be written with the first.
const (
	prefixAMQP    = "cloudEvents:"
	prefixAMQPAlt = "cloudEvents_"
	prefixPort    = "ce-"
	contentType   = "content-type"
)

const (
	maxShort       = 255      // bytes of a name or a property
	maxHeaderBytes = 96 << 10 // all headers of a message must fit into one frame, of 128 KiB
)

// encode makes a message of RabbitMQ: CloudEvents attributes in the binary mode of the AMQP binding, the content type, id
// and time as properties.
func encode(m *broker.Message) (amqp.Publishing, error) {
	p := amqp.Publishing{
		DeliveryMode: amqp.Persistent, MessageId: m.ID, Timestamp: m.Time, Body: m.Body,
		Headers: make(amqp.Table, len(m.Headers)+3),
	}
	p.Headers[headerTime] = m.Time.UnixMilli()
	if m.Key != "" {
		p.Headers[headerKey] = m.Key
	}
	if len(m.ID) > maxShort {
		p.MessageId = ""
		p.Headers[headerID] = m.ID
	}
	size := 0
	for name, value := range m.Headers {
		if name == contentType && value != "" && len(value) <= maxShort {
			p.ContentType = value
			continue
		}
		if attribute, ok := strings.CutPrefix(name, prefixPort); ok {
			name = prefixAMQP + attribute
		} else if ofServer(name) || name == headerCount {
			name = headerEscape + name
		}
		if len(name) > maxShort {
			return p, tooLarge("length of the name of header %.40s… in bytes: %d is over the limit of %d", name, len(name), maxShort)
		}
		size += len(name) + len(value) + 6
		p.Headers[name] = value
	}
	if size > maxHeaderBytes {
		return p, tooLarge("size of the headers in bytes: %d is over the limit of %d", size, maxHeaderBytes)
	}
	return p, nil
}

func tooLarge(format string, args ...any) error {
	return &kindError{kind: broker.ErrTooLarge, err: fmt.Errorf(format, args...)}
}
