package remote

import (
	"context"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/cloudevents"
)

// Request is a command with particulars, to be given to Dispatch in place of the bare command.
type Request struct {
	// Command is a value of a registered type, or a pointer to one. Required.
	Command any

	// IdempotencyKey makes the command take effect once, however often it is sent with this key, within the time for which
	// the server keeps results. Keys of different commands and tenants have nothing to do with each other. Defaults to
	// what an Idempotent command says, else to none.
	IdempotencyKey string

	// Key has commands of the same key handled one after the other, in the order in which they were sent. Defaults to
	// what a Keyed command says, else to the idempotency key, else to none: at the same time.
	Key string
}

// Idempotent is implemented by commands that say what makes them the same command.
type Idempotent interface {
	IdempotencyKey() string
}

// Keyed is implemented by commands that say what keeps their order.
type Keyed interface {
	CommandKey() string
}

// The headers of a request beside its CloudEvents attributes, and those of a reply.
const (
	headerClient   = "command-client"   // who wants the reply, and so where to
	headerDeadline = "command-deadline" // RFC 3339, in UTC
	headerOnce     = "command-once"     // the idempotency key
	headerRequest  = "command-request"  // in a reply: the request's id
	headerStatus   = "command-status"   // in a reply: "ok", or the code of the error
)

// replyTopic is where the replies to a client go. The server makes it up from the client's name, so that no request can
// have it write to topics of others.
func replyTopic(topic, client string) string { return topic + ".replies." + client }

func asRequest(c any) Request {
	var r Request
	switch c := c.(type) {
	case Request:
		r = c
	case *Request:
		r = *c
	default:
		r.Command = c
	}
	if i, ok := r.Command.(Idempotent); ok && r.IdempotencyKey == "" {
		r.IdempotencyKey = i.IdempotencyKey()
	}
	if k, ok := r.Command.(Keyed); ok && r.Key == "" {
		r.Key = k.CommandKey()
	}
	if r.Key == "" {
		r.Key = r.IdempotencyKey
	}
	return r
}

// encode makes the message of a request.
func (c *Client) encode(ctx context.Context, id event.ID, r Request, deadline time.Time) (broker.Message, error) {
	p, err := c.registry.Encode(r.Command)
	if err != nil {
		return broker.Message{}, err
	}
	metadata := event.MetadataFrom(ctx)
	if metadata.CorrelationID == "" {
		metadata.CorrelationID = id.String()
	}
	m, err := cloudevents.Encode(cloudevents.Envelope{
		ID: id.String(), Source: "/" + c.topic + "/clients/" + c.name, Key: r.Key,
		Event: event.Recorded{
			ID: id, Type: p.Type, SchemaVersion: p.SchemaVersion, ContentType: p.ContentType, Data: p.Data,
			RawMetadata: metadata.AppendJSON(nil), OccurredAt: c.o.Now(),
		},
	}, c.topic)
	if err != nil {
		return broker.Message{}, err
	}
	m.Headers[headerClient] = c.name
	m.Headers[headerDeadline] = deadline.UTC().Format(time.RFC3339Nano)
	if r.IdempotencyKey != "" {
		m.Headers[headerOnce] = r.IdempotencyKey
	}
	return m, c.broker.Check(m)
}

// incoming is a request as the server reads it.
type incoming struct {
	id       string
	client   string // "": nobody can be answered
	name     string // of the command
	command  any
	data     []byte
	metadata event.Metadata
	deadline time.Time
	once     string // the idempotency key; "": none
}

// read reads a request. What it could read is there also with an error.
func (s *Server) read(m broker.Message) (*incoming, error) {
	r := &incoming{id: m.ID, client: m.Headers[headerClient], once: m.Headers[headerOnce]}
	if s.broker.CheckGroup(broker.Group{Name: "replies", Topics: []string{replyTopic(s.topic, r.client)}}) != nil {
		r.client = ""
	}
	e, err := cloudevents.Decode(m)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r.id, r.name, r.data = e.ID, e.Event.Type, e.Event.Data
	if r.client == "" {
		return r, fmt.Errorf("%w: header %s names no client that could be answered", ErrMalformed, headerClient)
	}
	if r.deadline, err = time.Parse(time.RFC3339Nano, m.Headers[headerDeadline]); err != nil {
		return r, fmt.Errorf("%w: header %s is no time", ErrMalformed, headerDeadline)
	}
	if most := s.o.Now().Add(s.o.MaxTimeout + clockSkew); r.deadline.After(most) {
		return r, fmt.Errorf("%w: the deadline is further away than this server allows, %v", ErrMalformed, s.o.MaxTimeout)
	}
	if !s.knows(r.name) {
		return r, fmt.Errorf("%w: %q", ErrUnknownCommand, r.name)
	}
	if r.metadata, err = e.Event.Metadata(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r.metadata.CausationID = r.id
	if r.command, err = s.registry.Decode(&e.Event); err != nil {
		return r, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return r, nil
}

func (s *Server) knows(name string) bool {
	for _, t := range s.registry.Types() {
		if t.Name == name {
			return true
		}
	}
	return false
}

type keyContext struct{}

// Key gives the idempotency key of the command that is being handled, for ids that must be the same when it is handled again:
// event.DerivedID(event.ID{}, remote.Key(ctx)). It is unique among commands and tenants; "" where there is none.
func Key(ctx context.Context) string {
	key, _ := ctx.Value(keyContext{}).(string)
	return key
}
