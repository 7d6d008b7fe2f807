package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lexigram.dev/events/store"
)

// lane makes the deliveries of one kind and one partition. It walks the agenda in order: claims what is due, makes it, and
// writes what came of it; then it sleeps until the next one is due. All but the attempts is done by its own goroutine.
type lane struct {
	*Scheduler
	kind   Kind
	prefix string
	claim  string
	limit  int           // of deliveries at hand
	poke   chan struct{} // capacity 1: the agenda has changed

	atHand map[string]*found // claimed, by key
	broken map[string]bool   // keys of entries that cannot be read
	done   chan outcome
	gone   chan struct{} // closed when nobody receives outcomes any more
	all    sync.WaitGroup
	faults int // of the backend, one after the other
}

// eventsAtHand is how many events of a partition are appended at the same time.
const eventsAtHand = 256

func newLane(s *Scheduler, kind Kind, partition int, epoch int64) *lane {
	l := &lane{
		Scheduler: s, kind: kind, prefix: prefixOf(kind, partition), claim: fmt.Sprintf("%s#%d", s.o.Owner, epoch),
		limit: eventsAtHand, poke: make(chan struct{}, 1), atHand: map[string]*found{}, broken: map[string]bool{},
		done: make(chan outcome), gone: make(chan struct{}),
	}
	if kind == KindCommand {
		l.limit = s.o.Concurrency
	}
	l.limit = max(1, min(l.limit, s.store.Limits().MaxBatchOps/opsOfUnit))
	return l
}

// run works until stop is closed and what is at hand is made, or ctx ends.
func (l *lane) run(ctx context.Context, stop <-chan struct{}) error {
	defer l.all.Wait()
	defer close(l.gone)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, err := l.begin(ctx)
		if err = l.heed(ctx, err); err != nil {
			return err
		}
		timer.Reset(l.pause(wait))
		select {
		case o := <-l.done:
			if err := l.heed(ctx, l.settle(ctx, l.collect(o))); err != nil {
				return err
			}
		case <-timer.C:
		case <-l.poke:
		case <-stop:
			return l.drain(ctx)
		case <-ctx.Done():
			l.release(ctx)
			return nil
		}
	}
}

// drain waits for what is at hand.
func (l *lane) drain(ctx context.Context) error {
	for len(l.atHand) > 0 {
		select {
		case o := <-l.done:
			if err := l.heed(ctx, l.settle(ctx, l.collect(o))); err != nil {
				return err
			}
		case <-ctx.Done():
			l.release(ctx)
			return nil
		}
	}
	return nil
}

// heed takes down a fault of the backend, and gives it back where it is for good.
func (l *lane) heed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		err = nil
	case err == nil:
		l.faults = 0
		l.fault(l.prefix, nil)
	default:
		l.faults++
		l.fault(l.prefix, err)
		l.o.OnError(fmt.Errorf("schedule: agenda %s: %w", l.prefix, err))
	}
	if !errors.Is(err, store.ErrClosed) {
		err = nil
	}
	return err
}

func (l *lane) pause(wait time.Duration) time.Duration {
	if l.faults > 0 {
		return faultPause(l.faults)
	}
	return min(wait, l.o.PollInterval)
}

// faultPause is how long to wait after so many faults of the backend.
func faultPause(faults int) time.Duration {
	return min(25*time.Millisecond<<min(faults, 7), 2*time.Second)
}

// begin claims what is due, as far as there is room, and begins to make it. It gives how long nothing more is due.
func (l *lane) begin(ctx context.Context) (time.Duration, error) {
	for {
		room := l.limit - len(l.atHand)
		if room == 0 || l.kind == KindEvent && room < l.limit/2 { // events are made in large batches
			return l.o.PollInterval, nil
		}
		due, wait, err := l.look(ctx, room)
		if err != nil || len(due) == 0 {
			return wait, err
		}
		claimed, err := l.take(ctx, due)
		if err != nil {
			return 0, err
		}
		for _, f := range claimed {
			l.atHand[f.at] = f
			l.make(ctx, f)
		}
	}
}

// maxLookBytes bounds what is claimed at once.
const maxLookBytes = 8 << 20

// look gives the first entries that are due and not at hand; where there are none, how long it is until the next one.
func (l *lane) look(ctx context.Context, room int) (due []*found, wait time.Duration, err error) {
	now, size := l.o.Now().UnixMicro(), 0
	end := fmt.Sprintf("%s%016d", l.prefix, now+1)
	scan := store.Scan{Bucket: agendaBucket, From: l.prefix, To: end, Limit: room + len(l.atHand) + len(l.broken)}
	for r, err := range l.store.Scan(ctx, scan) {
		if err != nil {
			return nil, 0, err
		}
		if l.atHand[r.Key] != nil || l.broken[r.Key] {
			continue
		}
		f, err := decodeEntry(&r)
		if err != nil { // it must not stop those behind it
			l.broken[r.Key] = true
			l.o.OnError(fmt.Errorf("schedule: %w", err))
			continue
		}
		due = append(due, f)
		if size += len(r.Value); len(due) == room || size > maxLookBytes {
			break
		}
	}
	if len(due) > 0 {
		return due, 0, nil
	}
	scan = store.Prefix(agendaBucket, l.prefix)
	scan.From, scan.Limit = end, 1
	for r, err := range l.store.Scan(ctx, scan) {
		if err != nil {
			return nil, 0, err
		}
		at, _, err := splitKey(r.Key)
		return nil, time.Duration(at-now) * time.Microsecond, err
	}
	return nil, l.o.PollInterval, nil
}

// take claims entries, so that from now on they are made and not cancelled. Those that somebody has changed are left out,
// and so are those that recur in a way which this process cannot read: they wait.
func (l *lane) take(ctx context.Context, due []*found) ([]*found, error) {
	units := make([]unit, len(due))
	for i, f := range due {
		if err := l.readable(&f.entry); err != nil {
			f.Error = err.Error()
			l.o.OnError(fmt.Errorf("schedule: delivery %s: %w", f.id, err))
			units[i] = unit{key: f.at, ops: f.move(l.o.Now().Add(recheck).UnixMicro())}
			continue
		}
		if f.Claim != "" && f.Claim != l.claim {
			f.Interruptions++ // whoever had claimed it is gone
		}
		f.Claim = l.claim
		units[i] = unit{key: f.at, ops: []store.Op{store.Put(agendaBucket, f.at, encode(&f.entry)).When(store.IfRevision(f.revision))}}
	}
	if err := l.apply(ctx, units); err != nil {
		return nil, err
	}
	var claimed []*found
	for i, f := range due {
		if len(units[i].revisions) == 1 {
			f.revision = units[i].revisions[0]
			claimed = append(claimed, f)
		}
	}
	return claimed, nil
}

// readable reports why it cannot be found out when a delivery is due again.
func (s *Scheduler) readable(e *entry) error {
	if e.Cron == "" {
		return nil
	}
	_, err := s.recurrence(e.Cron, e.Zone)
	return err
}

// recheck is when a delivery is looked at again that recurs in a way which this process cannot read.
const recheck = time.Minute

// linger is how long the outcomes of other deliveries are waited for, to write them together.
const linger = 2 * time.Millisecond

// collect gives an outcome and those that come with it.
func (l *lane) collect(first outcome) []outcome {
	all := []outcome{first}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(all) < len(l.atHand) {
		select {
		case o := <-l.done:
			all = append(all, o)
		case <-timer.C:
			return all
		}
	}
	return all
}
