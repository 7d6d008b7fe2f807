package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/command"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// Server handles the commands that clients send to a topic. It is safe for concurrent use; each Run is a member of its
// own of the service's group.
type Server struct {
	broker   *broker.Broker
	bus      *command.Bus
	registry *schema.Registry
	store    *store.Store
	topic    string
	o        ServerOptions
	codes    []code
	letters  *deadletter.Letters
}

// ServerOptions are the settings of a Server; the zero value works.
type ServerOptions struct {
	// Group is the consumer group that the processes of the service share. Defaults to the topic.
	Group string

	// Concurrency is how many commands are handled at the same time. Defaults to 10.
	Concurrency int

	// MaxTimeout is the longest time that a client may give a command; requests with more are refused. Defaults to 5
	// minutes.
	MaxTimeout time.Duration

	// KeepResults is how long the result of a command with an idempotency key is kept. Defaults to 24 h.
	KeepResults time.Duration

	// InTransaction has commands with an idempotency key handled in a transaction of the store, in which the result is
	// kept too: what the handler writes to the same store takes effect exactly once, across crashes as well. From its first
	// append to its end the handler then keeps other appends waiting. Needs a backend with transactions. Defaults to
	// false.
	InTransaction bool

	// Codes are the errors that clients know by name. Defaults to none beyond those that Codes lists.
	Codes Codes

	// ExposeErrors sends the texts of all errors to the clients, also of those without a code. Defaults to false: they
	// may hold what a client must not see.
	ExposeErrors bool

	// Grace is how long handlers may go on after Run's context has ended. Defaults to 10 s.
	Grace time.Duration

	// OnError is told of failed commands whose errors stay with the server, of requests that cannot be answered, and of
	// faults of broker and store. It must be safe for concurrent use. Defaults to a warning in slog.Default().
	OnError func(err error)

	// Now is the clock that deadlines are compared with. Defaults to time.Now.
	Now func() time.Time
}

func (o ServerOptions) withDefaults(topic string) ServerOptions {
	if o.Group == "" {
		o.Group = topic
	}
	if o.Concurrency == 0 {
		o.Concurrency = 10
	}
	if o.MaxTimeout == 0 {
		o.MaxTimeout = 5 * time.Minute
	}
	if o.KeepResults == 0 {
		o.KeepResults = 24 * time.Hour
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.OnError == nil {
		o.OnError = func(err error) { slog.Default().Warn("remote commands", slog.Any("error", err)) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// NewServer makes a server for the commands of the registry, which its processes share in the store: their claims and
// results. Clients must use the same topic. It does no I/O.
func NewServer(b *broker.Broker, bus *command.Bus, r *schema.Registry, s *store.Store, topic string, o ServerOptions) (*Server, error) {
	o = o.withDefaults(topic)
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(b == nil || bus == nil || r == nil || s == nil, "a broker, a command bus, a registry of commands and a store are needed")
	fault(o.Concurrency < 1, "Concurrency %d: must be at least 1", o.Concurrency)
	fault(o.MaxTimeout < 0, "MaxTimeout %v: must not be negative", o.MaxTimeout)
	fault(o.KeepResults < 0, "KeepResults %v: must not be negative", o.KeepResults)
	fault(o.Grace < 0, "Grace %v: must not be negative", o.Grace)
	faults = append(faults, o.Codes.validate())
	if b != nil {
		faults = append(faults, b.CheckGroup(broker.Group{Name: o.Group, Topics: []string{topic}}))
	}
	if s != nil && o.InTransaction {
		_, ok := s.Backend().(store.Transactor)
		fault(!ok, "InTransaction: %w", store.ErrUnsupported)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("server of commands %q: %w", topic, err)
	}
	return &Server{
		broker: b, bus: bus, registry: r, store: s, topic: topic, o: o, codes: o.Codes.list(),
		letters: deadletter.New(s, deadletter.Options{Now: o.Now}),
	}, nil
}

// Name is "remote/" and the topic; it is the source of the server's dead letters: requests that cannot be read, and whose
// sender cannot be told.
func (s *Server) Name() string { return "remote/" + s.topic }

// Declare makes the service's group known to the broker, so that requests are kept from now on until a server runs.
func (s *Server) Declare(ctx context.Context) error { return s.broker.Declare(ctx, s.group()) }

func (s *Server) group() broker.Group {
	return broker.Group{Name: s.o.Group, Topics: []string{s.topic}}
}

// Run handles commands until ctx ends; then it takes no more, lets handlers finish within the grace, and returns nil. A
// broker that is unavailable is waited for. It returns an error when a registered command has no handler, and when the
// broker was closed or refuses.
func (s *Server) Run(ctx context.Context) error {
	if err := s.checkHandlers(); err != nil {
		return fmt.Errorf("run server of commands %s: %w", s.topic, err)
	}
	consumer, err := broker.NewConsumer(s.broker, s.group(), s.handle, broker.ConsumerOptions{
		DeadLetter:  s.park,
		Concurrency: s.o.Concurrency,
		Prefetch:    2 * s.o.Concurrency, // what waits here, another process could be handling
		Timeout:     -1,                  // each request has its own
		Grace:       s.o.Grace,
		OnError:     s.o.OnError,
	})
	if err == nil {
		err = consumer.Run(ctx)
	}
	if err != nil {
		return fmt.Errorf("run server of commands %s: %w", s.topic, err)
	}
	return nil
}

// checkHandlers tells at the start what would fail with the first request.
func (s *Server) checkHandlers() error {
	var (
		faults []error
		names  = s.bus.Names()
	)
	for _, t := range s.registry.Types() {
		if !slices.Contains(names, t.Go.String()) {
			faults = append(faults, fmt.Errorf("command %q (%v): %w", t.Name, t.Go, command.ErrNoHandler))
		}
	}
	return errors.Join(faults...)
}

// park keeps a request that cannot be answered as a dead letter.
func (s *Server) park(ctx context.Context, d broker.Delivery, cause error) error {
	ops, err := s.letters.Park(ctx, deadletter.Letter{
		Source: s.Name(), Attempts: d.Attempt, Error: cause.Error(),
		Message: &deadletter.Message{ID: d.ID, Topic: d.Topic, Key: d.Key, Headers: d.Headers, Body: d.Body},
	})
	if err == nil {
		_, err = s.store.Apply(ctx, ops...)
	}
	return err
}

func (s *Server) report(r *incoming, doing string, err error) {
	s.o.OnError(fmt.Errorf("command %s, request %s of client %s: %s: %w", r.name, r.id, r.client, doing, err))
}
