package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/observe"
)

// Dispatch sends a command, of a registered type or as a Request, to the server and waits for its result:
//
//	id, err := remote.Dispatch[OrderID](ctx, client, PlaceOrder{Customer: "ada"})
//
// It waits until the context's deadline, at most the client's timeout, also for a client that does not run yet. Errors
// are an *Error where the server says that the command has failed; ErrNoReply, ErrStopped and ErrResult; those of the
// registry and of broker.Broker's Publish, with which nothing was sent, but for broker.ErrUnavailable.
func Dispatch[R any](ctx context.Context, c *Client, command any) (R, error) {
	var result R
	begun := time.Now()
	name, body, err := c.dispatch(ctx, command)
	if err == nil {
		if err = json.Unmarshal(body, &result); err != nil {
			err = fmt.Errorf("%w: %w", ErrResult, err)
		}
	}
	if err != nil {
		err = fmt.Errorf("remote command %s: %w", name, err)
	}
	if c.o.Hooks.WatchesDispatches() {
		c.o.Hooks.Dispatch(ctx, observe.Dispatch{Kind: "remote command", Name: name, Took: time.Since(begun), Err: err})
	}
	return result, err
}

// dispatch gives the result as JSON, and the command's name.
func (c *Client) dispatch(ctx context.Context, command any) (name string, result []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	id, request := c.o.NewID(), asRequest(command)
	name = fmt.Sprintf("%T", request.Command)
	m, err := c.encode(ctx, id, request, c.o.Now().Add(time.Until(deadline)))
	if err != nil {
		return name, nil, err
	}
	name = m.Headers["ce-type"]
	c.mu.Lock()
	ready, stopped := c.ready, c.stopped
	c.mu.Unlock()
	select {
	case <-ready:
	case <-stopped:
		return name, nil, fmt.Errorf("%w before the command was sent", ErrStopped)
	case <-ctx.Done():
		return name, nil, fmt.Errorf("the client takes no replies, so the command was not sent: is its Run called, and the broker there? %w", ctx.Err())
	}
	reply := c.await(m.ID)
	defer c.forget(m.ID)
	if err := insist(ctx, c.broker, m); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrNoReply, err)
		}
		return name, nil, err
	}
	select {
	case answer := <-reply:
		body, err := c.read(name, m.ID, answer)
		return name, body, err
	case <-stopped:
		return name, nil, ErrStopped
	case <-ctx.Done():
		return name, nil, fmt.Errorf("%w: %w", ErrNoReply, ctx.Err())
	}
}

func (c *Client) await(id string) <-chan broker.Message {
	reply := make(chan broker.Message, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[id] = reply
	return reply
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

// read gives what a reply says.
func (c *Client) read(name, id string, reply broker.Message) ([]byte, error) {
	status := reply.Headers[headerStatus]
	if status == codeOK {
		return reply.Body, nil
	}
	var said outcome
	if err := json.Unmarshal(reply.Body, &said); err != nil || status == "" {
		return nil, fmt.Errorf("%w: it is no reply: status %q", ErrResult, short(status))
	}
	return nil, &Error{Command: name, Request: id, Code: status, Message: said.Message, kind: c.kinds[status]}
}
