package saga

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Set runs sagas, together with all other processes that run a Set with them over the same store. It is safe for
// concurrent use; Run can be called once.
type Set struct {
	o        Options
	owner    string
	log      *store.Store
	services []*service
	slots    chan struct{} // one is held for each instance at work
	running  atomic.Bool
	vary     func(n int64) int64 // a random number below n
}

// NewSet puts definitions together: of several versions of one saga, the highest is for new instances. All faults
// are reported together. It does no I/O.
func NewSet(log *store.Store, o Options, definitions ...Definer) (*Set, error) {
	o = o.withDefaults()
	host, _ := os.Hostname() // without it the rest still tells processes apart
	s := &Set{
		o: o, owner: cmp.Or(o.Owner, fmt.Sprintf("%s/%d/%08x", cmp.Or(host, "unknown"), os.Getpid(), rand.Uint32())),
		log: log, slots: make(chan struct{}, max(1, o.Concurrency)), vary: rand.Int64N,
	}
	s.o.Owner = s.owner
	faults := []error{o.validate()}
	if log == nil {
		faults = append(faults, errors.New("a store is needed"))
	}
	byName := map[string]map[int]Definer{}
	var names []string
	for _, d := range definitions {
		name, version := d.identity()
		if byName[name] == nil {
			byName[name] = map[int]Definer{}
			names = append(names, name)
		}
		if byName[name][version] != nil {
			faults = append(faults, fmt.Errorf("saga %s: there are two of version %d", name, version))
		}
		for _, other := range byName[name] {
			if other.style() != d.style() {
				faults = append(faults, fmt.Errorf("saga %s: one version is a process manager, another is not", name))
			}
		}
		byName[name][version] = d
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("make a set of sagas: %w: %w", store.ErrInvalid, err)
	}
	for _, name := range names {
		service, err := newService(s, name, byName[name])
		if service != nil {
			s.services = append(s.services, service)
		}
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("make a set of sagas: %w", err)
	}
	return s, nil
}

// Name gives "sagas"; with Run and Health it suits events.Engine.AddRunners.
func (s *Set) Name() string { return "sagas" }

// Run runs the sagas until ctx ends, and then returns nil once what is being done is taken down. Faults of the backend are
// waited out.
func (s *Set) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return fmt.Errorf("run sagas: %w", ErrRunning)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		faults []error
	)
	run := func(f func(context.Context) error) {
		all.Go(func() {
			if err := f(ctx); err != nil {
				mu.Lock()
				faults = append(faults, err)
				mu.Unlock()
				stop()
			}
		})
	}
	for _, service := range s.services {
		run(service.feed.Run)
		if service.router != nil {
			run(service.router.Run)
		}
	}
	all.Wait()
	return errors.Join(faults...)
}

// Health gives an error when the sagas cannot be brought on, or events do not reach a process manager.
func (s *Set) Health(ctx context.Context) error {
	var faults []error
	for _, service := range s.services {
		faults = append(faults, service.feed.Health(ctx))
		if service.router != nil {
			faults = append(faults, service.router.Health(ctx))
		}
	}
	return errors.Join(faults...)
}

// Start begins an instance of an orchestrated saga with its data, and returns when that is durable. The id is the caller's:
// starting it again with the same data does nothing, so that a start can be repeated; with other data it gives ErrExists.
// The metadata in the context (actor, tenant, trace, correlation) goes along with all that is done for the instance.
func (s *Set) Start(ctx context.Context, saga, id string, data any, o StartOptions) error {
	if err := s.start(ctx, saga, id, data, o); err != nil {
		return named("start saga", saga, id, err)
	}
	return nil
}

// StartOptions are the settings of Start; the zero value works.
type StartOptions struct {
	// Version of the definition. Defaults to the newest that the Set has.
	Version int
	// Correlation is what the instance belongs to; instances are found by it, and many may have the same. At most 128 bytes.
	// Defaults to none.
	Correlation string
}

func (s *Set) start(ctx context.Context, saga, id string, data any, o StartOptions) error {
	service, err := s.service(saga)
	if err != nil {
		return err
	}
	definition := service.newest()
	if o.Version != 0 {
		definition = service.versions[o.Version]
	}
	if definition == nil {
		return fmt.Errorf("%w version: %s", ErrUnknown, service.missing(o.Version))
	}
	if definition.style() == styleManager {
		return fmt.Errorf("%w: a process manager is started by events", ErrRefused)
	}
	if err := errors.Join(validateID("id", id), validateCorrelation(o.Correlation)); err != nil {
		return err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("data of type %T cannot be encoded: %w: %w", data, store.ErrInvalid, err)
	}
	if err := definition.accepts(raw); err != nil {
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	draft := newDraft(newState(saga, id), s.o.Now())
	if err := draft.add(s.started(definition, o.Correlation, event.MetadataFrom(ctx), raw)); err != nil {
		return err
	}
	err = draft.append(ctx, s.log, true)
	if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrStreamDeleted) {
		return err
	}
	existing, err := load(ctx, s.log, saga, id)
	switch {
	case err != nil:
		return err
	case existing.expired && existing.begunAs == nil:
		return fmt.Errorf("%w, and was removed when its retention was over", ErrExists)
	case !equalJSON(existing.begunAs, raw):
		return fmt.Errorf("%w: it was begun with other data", ErrExists)
	}
	return nil
}

func (s *Set) service(saga string) (*service, error) {
	i := slices.IndexFunc(s.services, func(service *service) bool { return service.name == saga })
	if i < 0 {
		return nil, fmt.Errorf("%w saga: there is %v", ErrUnknown, s.names())
	}
	return s.services[i], nil
}

func (s *Set) started(definition Definer, correlation string, origin event.Metadata, data json.RawMessage) *entry {
	_, version := definition.identity()
	return &entry{
		kind: typeStarted, origin: origin, Definition: version, Style: definition.style(), Correlation: correlation, Data: data,
		Signals: definition.signals(), Retention: s.o.Retention,
	}
}

func (s *Set) names() []string {
	var names []string
	for _, service := range s.services {
		names = append(names, service.name)
	}
	return names
}

func validateCorrelation(c string) error {
	if c == "" {
		return nil
	}
	return validateID("correlation", c)
}
