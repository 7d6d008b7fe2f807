package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/observe"
)

// Broker is a backend with the policy on top: it checks input against the limits before anything is sent, fills in
// defaults, and says in each error what was being done. It is safe for concurrent use.
type Broker struct {
	backend Backend
	limits  Limits
	hooks   observe.Hooks
	now     func() time.Time
}

// Options are the settings of a Broker; the zero value works.
type Options struct {
	// Limits bound what is accepted. Zero fields mean the defaults that Limits documents.
	Limits Limits

	// Hooks watch publishing, and the attempts of consumers. Defaults to none.
	Hooks observe.Hooks

	// Now gives the time for Message.Time. Defaults to time.Now.
	Now func() time.Time
}

// New gives a Broker over a backend. It does no I/O. The Broker owns the backend: closing it closes the backend.
func New(backend Backend, o Options) *Broker {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Broker{backend: backend, limits: o.Limits.withDefaults(backend.Features()), hooks: o.Hooks, now: o.Now}
}

// Backend gives the driver underneath.
func (b *Broker) Backend() Backend { return b.backend }

// Features tells what the broker can do.
func (b *Broker) Features() Features { return b.backend.Features() }

// Limits gives the limits in force, with the defaults filled in.
func (b *Broker) Limits() Limits { return b.limits }

// Publish sends messages and returns once the broker has confirmed them all. A malformed or oversize message makes it send
// none. Else the error is a *PublishError that says which messages are not confirmed; after ErrUnavailable or a context's
// error those may have arrived: publishing them again with the same ids is safe for those who tell messages by id. To keep
// the order of a key then, publish again from its first unconfirmed message on.
func (b *Broker) Publish(ctx context.Context, messages ...Message) error {
	if len(messages) == 0 {
		return nil
	}
	if !b.hooks.WatchesPublishes() {
		return b.publish(ctx, messages)
	}
	begun := time.Now()
	err := b.publish(ctx, messages)
	p := observe.Publish{Topic: messages[0].Topic, Messages: len(messages), Took: time.Since(begun), Err: err}
	var failed *PublishError
	switch {
	case errors.As(err, &failed):
		p.Failed = len(failed.Failed)
	case err != nil:
		p.Failed = len(messages)
	}
	b.hooks.Publish(ctx, p)
	return err
}

func (b *Broker) publish(ctx context.Context, messages []Message) error {
	if len(messages) > b.limits.MaxMessages {
		return fmt.Errorf("publish: %w", tooLarge("number of messages", len(messages), b.limits.MaxMessages))
	}
	var (
		prepared = make([]Message, len(messages))
		now      = b.now().UTC().Truncate(time.Millisecond)
	)
	for i, m := range messages {
		if m.Time.IsZero() {
			m.Time = now
		} else {
			m.Time = m.Time.UTC().Truncate(time.Millisecond)
		}
		if err := b.limits.checkMessage(&m); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		prepared[i] = m
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	var failed []FailedMessage
	for i, err := range b.backend.Publish(ctx, prepared) {
		if err != nil {
			failed = append(failed, FailedMessage{Index: i, ID: messages[i].ID, Topic: messages[i].Topic, Err: err})
		}
	}
	if failed != nil {
		return fmt.Errorf("publish: %w", &PublishError{Total: len(messages), Failed: failed})
	}
	return nil
}

// Declare makes a group known, so that what is published to its topics from now on is kept for it, also while it has no
// member. Consumers declare their group when they run; declare it earlier when somebody publishes before that.
func (b *Broker) Declare(ctx context.Context, g Group) error {
	err := b.CheckGroup(g)
	if err == nil {
		err = b.backend.Declare(ctx, g)
	}
	if err != nil {
		return fmt.Errorf("declare group %s: %w", abbreviate(g.Name), err)
	}
	return nil
}

// Backlog counts what the group has not handled yet. Brokers that cannot tell give ErrUnsupported.
func (b *Broker) Backlog(ctx context.Context, g Group) (backlog Backlog, err error) {
	if gauge, ok := b.backend.(Gauge); !ok {
		err = ErrUnsupported
	} else if err = b.CheckGroup(g); err == nil {
		backlog, err = gauge.Backlog(ctx, g)
	}
	if err != nil {
		return Backlog{}, fmt.Errorf("backlog of group %s: %w", abbreviate(g.Name), err)
	}
	return backlog, nil
}

// RemoveGroup forgets a group, on these topics, and what it has not handled of them. Stop its consumers first. Brokers that
// cannot give ErrUnsupported.
func (b *Broker) RemoveGroup(ctx context.Context, g Group) (err error) {
	if remover, ok := b.backend.(Remover); !ok {
		err = ErrUnsupported
	} else if err = b.CheckGroup(g); err == nil {
		err = remover.RemoveGroup(ctx, g)
	}
	if err != nil {
		return fmt.Errorf("remove group %s: %w", abbreviate(g.Name), err)
	}
	return nil
}

// CheckGroup reports why the group would be refused, without asking the broker: an ErrInvalid, ErrTooLarge or
// ErrUnsupported.
func (b *Broker) CheckGroup(g Group) error {
	if g.FromStart && !b.backend.Features().Replay {
		return fmt.Errorf("begin with the oldest messages: %w", ErrUnsupported)
	}
	return b.limits.checkGroup(g)
}

// Describe tells what the broker is; it asks the server, so it serves as a health check.
func (b *Broker) Describe(ctx context.Context) (Description, error) {
	d, err := b.backend.Describe(ctx)
	if err != nil {
		return Description{}, fmt.Errorf("describe the broker: %w", err)
	}
	d.Features = b.backend.Features()
	return d, nil
}

// Close closes the backend. Consumers that run end with ErrClosed; stop them first. Calling it again does nothing.
func (b *Broker) Close() error {
	if err := b.backend.Close(); err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("close the broker: %w", err)
	}
	return nil
}
