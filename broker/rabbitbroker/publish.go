package rabbitbroker

import (
	"context"
	"errors"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
)

// window is how many messages of one call are sent before the oldest of them is confirmed.
const window = 1000

// maxPublishers is how many calls publish at the same time; the others wait. A server allows 2,047 channels in a connection.
const maxPublishers = 512

// publisher is a channel in confirm mode. One call uses it at a time, so that what the server says of a channel is said of
// that call's messages alone.
type publisher struct {
	conn    *connection
	channel *amqp.Channel
	closes  chan *amqp.Error // says why the channel was closed
	why     *amqp.Error      // what it has said
	returns chan amqp.Return // messages that no queue took; nil unless those are asked for
}

// idlePublishers are the publishers of a connection that no call uses; the last one is used next.
type idlePublishers struct {
	mu   sync.Mutex
	idle []*publisher
}

func (i *idlePublishers) take() *publisher {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := len(i.idle) - 1; n >= 0; n-- {
		p := i.idle[n]
		i.idle = i.idle[:n]
		if !p.channel.IsClosed() {
			return p
		}
	}
	return nil
}

func (i *idlePublishers) put(p *publisher) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.idle = append(i.idle, p)
}

// publisher gives a publisher for one call.
func (b *Broker) publisher(ctx context.Context) (*publisher, error) {
	c, err := b.publishing.connect(ctx, b.o.ReconnectFor)
	if err != nil {
		return nil, err
	}
	if err := c.flow.pass(ctx); err != nil {
		return nil, b.translate(ctx, err)
	}
	if p := c.idle.take(); p != nil {
		return p, nil
	}
	p := &publisher{conn: c}
	err = b.await(ctx, func() (err error) {
		if p.channel, err = c.Channel(); err != nil {
			return err
		}
		p.closes = p.channel.NotifyClose(make(chan *amqp.Error, 1))
		if b.o.Mandatory {
			p.returns = p.channel.NotifyReturn(make(chan amqp.Return, window)) // as many as can be on their way
		}
		return p.channel.Confirm(false)
	}, func() { _ = p.channel.Close() })
	if err != nil {
		return nil, b.translate(ctx, err)
	}
	return p, nil
}

// Publish implements broker.Backend. Messages are sent one after the other without waiting for each one's confirmation.
func (b *Broker) Publish(ctx context.Context, messages []broker.Message) []error {
	results := make([]error, len(messages))
	send := make([]outgoing, 0, len(messages))
	for i := range messages {
		m := &messages[i]
		p, err := encode(m)
		if err != nil {
			results[i] = err
			continue
		}
		send = append(send, outgoing{index: i, exchange: b.o.Exchange, key: b.routingKey(m.Topic, m.Key), content: p})
	}
	b.send(ctx, send, func(i int, err error) { results[i] = err })
	for _, err := range results {
		if err != nil {
			return results
		}
	}
	return nil
}

// outgoing is a message on its way to the server.
type outgoing struct {
	index         int // in the call
	exchange, key string
	content       amqp.Publishing
	confirmation  *amqp.DeferredConfirmation
}

// send publishes, and reports each message that is not confirmed.
func (b *Broker) send(ctx context.Context, messages []outgoing, report func(index int, err error)) {
	if len(messages) == 0 {
		return
	}
	failFrom := func(from int, err error) {
		for i := from; i < len(messages); i++ {
			report(messages[i].index, err)
		}
	}
	if err := b.begin(ctx); err != nil {
		failFrom(0, err)
		return
	}
	select {
	case b.turns <- struct{}{}:
		defer func() { <-b.turns }()
	case <-ctx.Done():
		failFrom(0, ctx.Err())
		return
	case <-b.closed:
		failFrom(0, broker.ErrClosed)
		return
	}
	p, err := b.publisher(ctx)
	if err != nil {
		failFrom(0, err)
		return
	}
	// A server that has stopped to read makes the client's calls hang in a write: they get a moment when ctx ends.
	defer context.AfterFunc(ctx, func() { p.conn.socket.hurry(time.Second) })()

	sent, confirmed, returned, whole := 0, 0, 0, true
	confirm := func() {
		m := &messages[confirmed]
		if err := p.confirmed(ctx, m); err != nil {
			whole = whole && errors.Is(err, errNack)
			report(m.index, b.translate(ctx, err))
		}
		confirmed++
		returned = p.returned(messages[:sent], returned, report)
	}
	for ; sent < len(messages); sent++ {
		if sent-confirmed == window {
			confirm()
		}
		m := &messages[sent]
		if err = p.conn.flow.pass(ctx); err == nil {
			m.confirmation, err = p.channel.PublishWithDeferredConfirm(m.exchange, m.key, p.returns != nil, false, m.content)
		}
		if err != nil {
			whole = false
			failFrom(sent, b.translate(ctx, p.reason(err)))
			break
		}
	}
	for confirmed < sent {
		confirm()
	}
	if whole && ctx.Err() == nil {
		p.conn.idle.put(p)
		return
	}
	b.discard(p)
}

var errNack = kindOf(broker.ErrFull, "the server did not take the message: a queue is full, or has lost its leader")

// confirmed waits for the server's word on a message.
func (p *publisher) confirmed(ctx context.Context, m *outgoing) error {
	full, _ := p.conn.flow.state()
	select {
	case <-m.confirmation.Done():
	default:
		select {
		case <-m.confirmation.Done():
		case <-ctx.Done():
			return ctx.Err()
		case <-full:
			return p.conn.flow.fault()
		}
	}
	switch {
	case m.confirmation.Acked():
		return nil
	case p.channel.IsClosed():
		return p.reason(unavailable("the connection was lost before the message was confirmed"))
	}
	return errNack
}

// reason is why the channel was closed, if the server has said why; else otherwise.
func (p *publisher) reason(otherwise error) error {
	if p.conn.flow.isFull() {
		return p.conn.flow.fault()
	}
	if p.why == nil {
		select {
		case p.why = <-p.closes:
		default:
		}
	}
	switch {
	case p.why == nil:
		return otherwise
	case p.why.Code == amqp.NotFound:
		p.conn.socket.abort() // the exchange is gone: the next connection makes it again
	}
	return p.why
}

// returned reports the messages that no queue has taken, from the one with the index next on, and gives the index after the
// last of them. The server says so before it confirms them, in the order in which they were sent.
func (p *publisher) returned(messages []outgoing, next int, report func(index int, err error)) int {
	for {
		select {
		case r, ok := <-p.returns:
			if !ok {
				return next
			}
			for ; next < len(messages); next++ {
				m := &messages[next]
				if m.key == r.RoutingKey && m.content.MessageId == r.MessageId {
					report(m.index, kindOf(broker.ErrRefused, "no group has asked for the topic (%s)", r.ReplyText))
					next++
					break
				}
			}
		default:
			return next
		}
	}
}

// discard gives up a publisher that may still get news of this call.
func (b *Broker) discard(p *publisher) { b.background(func() { _ = p.channel.Close() }) }
