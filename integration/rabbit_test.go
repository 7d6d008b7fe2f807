package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/types"
	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker/rabbitbroker"
)

func rabbit() protocol {
	return protocol{variable: "TEST_RABBITMQ_URL", open: rabbitbroker.Driver().Open, listen: listenRabbit, send: sendRabbit}
}

const rabbitExchange = "lexigram.events" // the driver's default

func rabbitChannel(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	connection, err := amqp.Dial(url)
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	c, err := connection.Channel()
	must(t, err)
	return c
}

func listenRabbit(t *testing.T, url, topic string) func(t *testing.T) *cloudevents.Event {
	t.Helper()
	c := rabbitChannel(t, url)
	queue, err := c.QueueDeclare("", false, true, true, false, nil)
	must(t, err)
	must(t, c.QueueBind(queue.Name, "#."+topic, rabbitExchange, false, nil))
	deliveries, err := c.Consume(queue.Name, "", true, true, false, false, nil)
	must(t, err)
	return func(t *testing.T) *cloudevents.Event {
		t.Helper()
		select {
		case d := <-deliveries:
			e, err := binding.ToEvent(t.Context(), &delivery{d})
			must(t, err)
			return e
		case <-time.After(patience):
			t.Fatalf("our event did not come within %v", patience)
			return nil
		}
	}
}

func sendRabbit(t *testing.T, url, topic string, e cloudevents.Event) {
	t.Helper()
	c := rabbitChannel(t, url)
	must(t, c.Confirm(false))
	w := &publishing{}
	_, err := binding.Write(binding.WithForceBinary(t.Context()), binding.ToMessage(&e), nil, w)
	must(t, err)
	confirmed, err := c.PublishWithDeferredConfirm(rabbitExchange, topic, false, false, w.Publishing)
	must(t, err)
	if ok, err := confirmed.WaitContext(t.Context()); err != nil || !ok {
		t.Fatal("not confirmed", err)
	}
}

// The SDK speaks AMQP 1.0 only, which a RabbitMQ before 4 speaks with a plugin. What follows gives its readers and writers
// AMQP 0.9.1's messages, by the rules of CloudEvents' binding for AMQP: attributes are application properties, with the
// prefix "cloudEvents:" or "cloudEvents_", and the content type is the property of that name.
func attributes() *spec.Versions { return spec.WithPrefix("cloudEvents:") }

// delivery is a binding.Message.
type delivery struct{ amqp.Delivery }

func (d *delivery) version() spec.Version {
	return attributes().Version(fmt.Sprint(d.Headers["cloudEvents:specversion"]))
}

func (d *delivery) ReadEncoding() binding.Encoding {
	if d.version() == nil {
		return binding.EncodingUnknown
	}
	return binding.EncodingBinary
}

func (d *delivery) ReadStructured(context.Context, binding.StructuredWriter) error {
	return binding.ErrNotStructured
}

func (d *delivery) ReadBinary(_ context.Context, w binding.BinaryWriter) error {
	version := d.version()
	if version == nil {
		return binding.ErrNotBinary
	}
	if err := w.SetAttribute(version.AttributeFromKind(spec.DataContentType), d.ContentType); err != nil {
		return err
	}
	for name, value := range d.Headers {
		extension, ok := strings.CutPrefix(name, "cloudEvents:")
		if !ok {
			continue
		}
		var err error
		if attribute := version.Attribute(name); attribute != nil {
			err = w.SetAttribute(attribute, value)
		} else {
			err = w.SetExtension(extension, value)
		}
		if err != nil {
			return err
		}
	}
	return w.SetData(bytes.NewReader(d.Body))
}

func (d *delivery) GetAttribute(k spec.Kind) (spec.Attribute, any) {
	attribute := d.version().AttributeFromKind(k)
	return attribute, d.Headers[attribute.PrefixedName()]
}

func (d *delivery) GetExtension(name string) any { return d.Headers["cloudEvents:"+name] }

func (d *delivery) Finish(error) error { return nil }

// publishing is a binding.BinaryWriter.
type publishing struct{ amqp.Publishing }

func (p *publishing) Start(context.Context) error {
	p.Headers = amqp.Table{}
	return nil
}

func (p *publishing) SetAttribute(a spec.Attribute, value any) error {
	text, err := types.Format(value)
	if a.Kind() == spec.DataContentType {
		p.ContentType = text
	} else {
		p.Headers["cloudEvents:"+a.Name()] = text
	}
	return err
}

func (p *publishing) SetExtension(name string, value any) error {
	text, err := types.Format(value)
	p.Headers["cloudEvents:"+name] = text
	return err
}

func (p *publishing) SetData(data io.Reader) (err error) {
	p.Body, err = io.ReadAll(data)
	return err
}

func (p *publishing) End(context.Context) error { return nil }

func (p *publishing) SetStructuredEvent(context.Context, format.Format, io.Reader) error {
	return binding.ErrNotStructured
}
