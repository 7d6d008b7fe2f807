package saga

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Trial runs sagas one move at a time, for tests: by the very rules of a Set, but without goroutines, on a clock that jumps,
// and the test says what comes of each attempt. Package sagatest is made of it. It is not safe for concurrent use.
type Trial struct {
	set     *Set
	ctx     context.Context // a Trial lives no longer than the test whose context it has
	now     time.Time
	owner   int
	drivers map[event.StreamID]*trialDriver
}

// trialDriver is a driver whose attempts are left to the test.
type trialDriver struct {
	*driver
	attempts []*Attempt
	lost     bool // another owner has taken over
}

// trialStart is the time at which trials begin.
func trialStart() time.Time { return time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC) }

// NewTrial makes a trial over a store, which nothing else should use; ctx bounds all it does. The options and definitions
// are those of NewSet, but that the clock starts at o.Now, which defaults to the beginning of 2030 (UTC), and that pauses are
// not varied.
func NewTrial(ctx context.Context, log *store.Store, o Options, definitions ...Definer) (*Trial, error) {
	t := &Trial{ctx: ctx, now: trialStart(), owner: 1, drivers: map[event.StreamID]*trialDriver{}}
	if o.Now != nil {
		t.now = o.Now()
	}
	o.Now = t.Now
	o.Owner = cmp.Or(o.Owner, "worker 1")
	if o.OnError == nil {
		o.OnError = func(error) {} // failures are what trials are about
	}
	set, err := NewSet(log, o, definitions...)
	if err != nil {
		return nil, err
	}
	set.vary = func(n int64) int64 { return n / 2 }
	t.set = set
	return t, nil
}

// Now is the time on the trial's clock.
func (t *Trial) Now() time.Time { return t.now }

// Jump moves the clock on. What has come due meanwhile is seen at the next Look.
func (t *Trial) Jump(d time.Duration) { t.now = t.now.Add(d) }

// Control looks into and steers the instances, on the trial's clock.
func (t *Trial) Control() *Control { return t.set.Control() }

// Start is Set.Start.
func (t *Trial) Start(saga, id string, data any, o StartOptions) error {
	return t.set.Start(t.ctx, saga, id, data, o)
}

// Route says to which instances of a process manager an event would belong: none where it concerns nobody.
func (t *Trial) Route(saga string, e any) (ids []string, err error) {
	manager, err := t.manager(saga)
	if err != nil {
		return nil, err
	}
	pending, err := manager.newest().(reactor).encode(e)
	if err != nil {
		return nil, err
	}
	return manager.routes(&event.Recorded{Type: pending.Type, SchemaVersion: pending.SchemaVersion, ContentType: pending.ContentType, Data: pending.Data})
}

// Happen appends an event to a stream, and brings it to the process manager of that name. It gives the event as it is stored,
// for Bring, and the instances that it belongs to.
func (t *Trial) Happen(saga string, stream event.StreamID, e any) (recorded event.Recorded, ids []string, err error) {
	manager, err := t.manager(saga)
	if err != nil {
		return recorded, nil, err
	}
	pending, err := manager.newest().(reactor).encode(e)
	if err != nil {
		return recorded, nil, err
	}
	pending.OccurredAt = t.now
	if _, err := t.set.log.Append(t.ctx, stream, store.Any(), pending); err != nil {
		return recorded, nil, err
	}
	for r, err := range t.set.log.ReadStream(t.ctx, store.StreamRead{Stream: stream, Backwards: true, Limit: 1}) {
		if err != nil {
			return recorded, nil, err
		}
		recorded = r
	}
	if ids, err = manager.routes(&recorded); err != nil {
		return recorded, nil, err
	}
	return recorded, ids, manager.bring(t.ctx, recorded)
}

// Bring brings an event to a process manager: once more, as after a crash, or one that the test has appended itself.
func (t *Trial) Bring(saga string, e event.Recorded) error {
	manager, err := t.manager(saga)
	if err != nil {
		return err
	}
	return manager.bring(t.ctx, e)
}

func (t *Trial) manager(saga string) (*service, error) {
	service, err := t.set.service(saga)
	if err == nil && service.router == nil {
		err = fmt.Errorf("saga %s: %w: it is no process manager", saga, ErrRefused)
	}
	return service, err
}

// TakeOver lets another worker take all instances over, as after a crash or the loss of a lease. Attempts of the former one
// may still be answered, which is void unless it comes before the new one has looked at the instance. With definitions the new
// worker has these, in place of those of the former.
func (t *Trial) TakeOver(definitions ...Definer) error {
	for _, d := range t.drivers {
		d.lost = true
	}
	clear(t.drivers)
	t.owner++
	o := t.set.o
	o.Owner = fmt.Sprintf("worker %d", t.owner)
	if len(definitions) == 0 {
		for _, service := range t.set.services {
			for _, d := range service.versions {
				definitions = append(definitions, d)
			}
		}
	}
	set, err := NewSet(t.set.log, o, definitions...)
	if err != nil {
		return err
	}
	set.vary = t.set.vary
	t.set = set
	return nil
}

// Look lets the owner of an instance look at it: what follows is appended, attempts are begun. It gives all attempts that are
// neither answered nor void, in the order of their tasks.
func (t *Trial) Look(saga, id string) ([]*Attempt, error) {
	service, err := t.set.service(saga)
	if err != nil {
		return nil, err
	}
	stream := streamOf(saga, id)
	d := t.drivers[stream]
	if d == nil {
		d = t.driver(service, id)
		t.drivers[stream] = d
	}
	d.state = nil
	if err := d.move(nil); err != nil {
		return nil, named("saga", saga, id, err)
	}
	return d.open(), nil
}

// Commands gives the commands that an instance of a process manager has requested, those whose event comes after a version.
func (t *Trial) Commands(saga, id string, after event.Version) ([]any, error) {
	service, err := t.set.service(saga)
	if err != nil {
		return nil, err
	}
	var commands []any
	for r, err := range t.set.log.ReadStream(t.ctx, store.StreamRead{Stream: streamOf(saga, id), From: after + 1}) {
		if err != nil {
			return nil, err
		}
		e, err := decodeEntry(&r)
		if err != nil {
			return nil, err
		}
		if e.kind != typeCommandRequested {
			continue
		}
		command, err := service.newest().(reactor).decode(e.Command)
		if err != nil {
			return nil, err
		}
		commands = append(commands, command)
	}
	return commands, nil
}

// driver makes one that begins attempts by giving them to the test.
func (t *Trial) driver(service *service, id string) *trialDriver {
	partition := service.partitionOf(id)
	l := &lane{service: service, partition: partition, ctx: t.ctx, stopping: make(chan struct{}), poke: make(chan struct{}, 1), drivers: map[string]*driver{}}
	d := &trialDriver{driver: newDriver(l, id)}
	tries := 0
	d.wait = func(pause time.Duration) bool {
		t.Jump(pause)
		tries++
		return tries < maxTrialTries
	}
	d.begin = func(definition Definer, task *task) {
		d.running[task.number] = &attempt{claim: task.claims, cancel: func() {}}
		copied := *task
		_, timeout := definition.retry(task, &d.o)
		d.attempts = append(d.attempts, &Attempt{
			Info: d.state.info(task), Kind: copied.kind.String(), trial: t, driver: d, task: &copied, definition: definition,
			data: d.state.data, inside: d.state.inside(t.ctx, d.state.info(task)), timeout: timeout,
		})
	}
	return d
}

// maxTrialTries is how often one driver waits for a backend that is at fault.
const maxTrialTries = 100

// move advances, again where somebody else was faster.
func (d *trialDriver) move(o *outcome) error {
	for {
		if d.state == nil && !d.reload() {
			return fmt.Errorf("%w instance, or its store does not answer", ErrUnknown)
		}
		err := d.advance(o)
		if err == nil {
			return nil
		}
		d.state = nil
		switch {
		case !isConflict(err):
			return err
		case d.lost:
			return nil // what a former owner says is void
		}
	}
}

// open gives the attempts that run.
func (d *trialDriver) open() []*Attempt {
	d.attempts = slices.DeleteFunc(d.attempts, func(a *Attempt) bool {
		running := d.running[a.task.number]
		return running == nil || running.claim != a.task.claims
	})
	open := slices.Clone(d.attempts)
	slices.SortStableFunc(open, func(a, b *Attempt) int { return cmp.Compare(a.task.number, b.task.number) })
	return open
}
