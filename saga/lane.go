package saga

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// lane holds the instances of one partition that are at work, as long as this process owns it.
type lane struct {
	*service
	partition int
	ctx       context.Context // ends when the partition must be left at once
	stopping  chan struct{}   // closed when nothing new is to be begun
	poke      chan struct{}   // capacity 1: the agenda has changed, or there is room again

	mu      sync.Mutex
	drivers map[string]*driver
	closed  bool
	behind  bool // an instance that is due had to be left for want of room
	parked  bool // parked instances are to be looked for

	all sync.WaitGroup
}

// Own implements subscription.Owner.
func (s *service) Own(ctx context.Context, partition int) (release func()) {
	l := &lane{
		service: s, partition: partition, ctx: ctx, stopping: make(chan struct{}), poke: make(chan struct{}, 1), drivers: map[string]*driver{},
		parked: true,
	}
	s.mu.Lock()
	s.lanes[partition] = l
	s.mu.Unlock()
	l.all.Go(l.follow)
	return func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		close(l.stopping)
		l.all.Wait()
		s.mu.Lock()
		delete(s.lanes, partition)
		s.mu.Unlock()
	}
}

func (s *service) lane(partition int) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes[partition]
}

// noticed tells an instance at work of events that others have appended.
func (l *lane) noticed(id string, version event.Version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.drivers[id]; d != nil && version > max(d.newest, event.Version(d.version.Load())) {
		d.newest = version
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// due takes down when an instance is to be looked at, which is in the agenda already.
func (l *lane) due(id string, due int64) {
	switch {
	case due == 0:
	case due <= l.o.Now().UnixMicro():
		l.drive(id, due)
	default:
		l.wakeUp()
	}
}

func (l *lane) wakeUp() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// drive puts an instance to work unless it is. It gives false where there is no room. due is what the agenda says; 0 where
// it says nothing.
func (l *lane) drive(id string, due int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.drivers[id] != nil {
		return true
	}
	select {
	case l.slots <- struct{}{}:
	default:
		l.behind = true
		return false
	}
	d := newDriver(l, id)
	d.due, d.begin, d.wait = due, d.spawn, l.waitFor
	l.drivers[id] = d
	l.all.Go(func() {
		d.run()
		l.left(d)
	})
	return true
}

func newDriver(l *lane, id string) *driver {
	return &driver{lane: l, id: id, wake: make(chan struct{}, 1), outcomes: make(chan outcome), gone: make(chan struct{}), running: map[int]*attempt{}}
}

// leave takes an instance out that has nothing to do, unless there is news of it.
func (l *lane) leave(d *driver) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.state != nil && d.newest > d.state.version {
		return false
	}
	delete(l.drivers, d.id)
	return true
}

func (l *lane) left(d *driver) {
	l.mu.Lock()
	if l.drivers[d.id] == d {
		delete(l.drivers, d.id)
	}
	l.mu.Unlock()
	<-l.slots
	l.roomAgain()
}

// agendaPage is how many entries of the agenda are read at once.
const agendaPage = 256

// follow walks the agenda: what is due is put to work, and the next entry is waited for.
func (l *lane) follow() {
	cursor := agendaPrefix(l.name, l.partition)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		complete := l.unpark()
		next, wait, err := l.walk(cursor)
		switch {
		case err != nil && l.ctx.Err() == nil:
			l.o.OnError(fmt.Errorf("saga %s: agenda of partition %d: %w", l.name, l.partition, err))
			wait = pauseAfterFault
		case err == nil:
			cursor = next
		}
		if !complete {
			wait = min(wait, pauseAfterFault)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.poke:
		case <-l.stopping:
			return
		case <-l.ctx.Done():
			return
		}
		l.mu.Lock()
		if l.behind {
			l.behind, cursor = false, agendaPrefix(l.name, l.partition)
		}
		l.mu.Unlock()
	}
}

// longest is how long the agenda is not looked at when nothing is in it.
const longest = time.Hour

// walk puts to work what is due, from a key on, and gives the key behind it and how long to wait.
func (l *lane) walk(cursor string) (next string, wait time.Duration, err error) {
	end := agendaPrefix(l.name, l.partition)
	end = end[:len(end)-1] + "0" // the byte behind the slash
	for {
		read := 0
		for r, err := range l.log.Scan(l.ctx, store.Scan{Bucket: agendaBucket, From: cursor, To: end, Limit: agendaPage}) {
			if err != nil {
				return cursor, 0, err
			}
			read++
			due, id, err := splitAgenda(r.Key)
			if err != nil {
				return cursor, 0, err
			}
			if ahead := time.Duration(due-l.o.Now().UnixMicro()) * time.Microsecond; ahead > 0 {
				return cursor, min(ahead, longest), nil
			}
			if !l.drive(id, due) {
				return cursor, longest, nil // left pokes
			}
			cursor = r.Key + "\x00"
		}
		if read < agendaPage {
			return cursor, longest, nil
		}
	}
}

// pauseAfterFault is when a lane tries again after a fault of the backend.
const pauseAfterFault = time.Second

// seeParked takes down that an instance is parked, whose definition may be here: the one who parked it did so for want of
// that, but is not the owner any more.
func (l *lane) seeParked(version int) {
	if l.versions[version] == nil {
		return
	}
	l.mu.Lock()
	l.parked = true
	l.mu.Unlock()
	l.wakeUp()
}

// unpark puts parked instances to work whose definition is here, when there may be some.
func (l *lane) unpark() (complete bool) {
	l.mu.Lock()
	due := l.parked
	l.parked = false
	l.mu.Unlock()
	if !due {
		return true
	}
	complete = true
	for i, err := range scanStatus(l.ctx, l.log, l.name, StatusParked) {
		if err != nil {
			if l.ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
				l.o.OnError(fmt.Errorf("saga %s: parked instances: %w", l.name, err))
			}
			complete = false
			break
		}
		if l.versions[i.Version] != nil && l.partitionOf(i.ID) == l.partition && !l.drive(i.ID, 0) {
			complete = false
			break
		}
	}
	if !complete {
		l.mu.Lock()
		l.parked = true
		l.mu.Unlock()
	}
	return complete
}
