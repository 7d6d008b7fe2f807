package rabbitbroker

import (
	"context"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/checkup"
)

// Diagnose implements broker.Diagnoser. Opening the broker has proved already that the user may make exchanges; what the
// nodes' disks and clocks are like, AMQP does not tell.
func (b *Broker) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	d, err := b.Describe(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.withChannel(ctx, b.publishing, func(*connection, *amqp.Channel) error { return nil }); err != nil {
		return nil, err
	}
	flow := checkup.Good("flow", "the server takes messages")
	if c := b.publishing.live(); c != nil {
		if reason, blocked := c.flow.blocked(); blocked {
			flow = checkup.Finding{
				Check: "flow", Level: checkup.Fail, Found: "the server takes no messages: " + reason,
				Cure: "free memory or disk on its nodes: consume, delete queues that nobody reads, raise the watermarks",
			}
		}
	}
	return []checkup.Finding{
		version(d.Version), checkup.Good("durability", "%s", d.Durability),
		checkup.Good("permissions", "may declare and read the exchange %s", b.o.Exchange), flow,
	}, nil
}

// version judges what the server can: quorum queues came with 3.8, their dead letters that are not lost with 3.10, and the
// timeout of a queue's consumers with 3.12.
func version(text string) checkup.Finding {
	f := checkup.Good("version", "RabbitMQ %s", text)
	parts := strings.SplitN(text, ".", 3)
	if len(parts) < 2 {
		return f
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	switch number := major*100 + minor; {
	case err1 != nil || err2 != nil:
	case number < 310:
		f.Level, f.Cure = checkup.Fail, "use RabbitMQ 3.10 or newer: its quorum queues keep dead letters"
	case number < 312:
		f.Level, f.Cure = checkup.Warn, "use RabbitMQ 3.12 or newer, or set consumer_timeout in rabbitmq.conf: handlers may take half an hour at most here"
	}
	return f
}
