package subscription

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// status puts together what the records tell: checkpoints, status records, leases, the control record, the head.
func (c *Control) status(ctx context.Context, name string) (Status, error) {
	found, err := c.known(ctx, name)
	if err != nil {
		return Status{}, err
	}
	told, err := loadFacts(ctx, c.store, name)
	if err != nil {
		return Status{}, err
	}
	group, err := lease.Look(ctx, c.store, leaseBucket, name)
	if err != nil {
		return Status{}, err
	}
	asked, _, err := loadControl(ctx, c.store, name)
	if err != nil {
		return Status{}, err
	}
	head, err := c.store.Head(ctx)
	if err != nil {
		return Status{}, err
	}
	source := defaultSource(name)
	for _, f := range told {
		source = cmp.Or(f.Source, source)
	}
	skewed, err := c.skewed(ctx, source)
	if err != nil {
		return Status{}, err
	}
	s := Status{Name: name, Skewed: skewed, Position: found[0].Position, Head: head, State: StateLive, Partitions: make([]PartitionStatus, len(found))}
	ages := ages{store: c.store, head: head, now: time.Now()}
	for i, record := range found {
		p := PartitionStatus{
			Partition: i, State: StateStopped, Position: record.Position, Owner: group.Holders[i],
			Epoch: record.Epoch, MovedAt: record.MovedAt,
		}
		f, there := told[record.key]
		if record.Position > head {
			p.State, p.Error = StateFaulted, fmt.Sprintf("%v: it is behind the head of the log", ErrCheckpoint)
		} else if there {
			p.State, p.Error, p.Attempts = f.State, f.Error, f.Attempts
		} else if p.Owner != "" {
			p.State = StateCatchingUp // it has not said anything yet
		}
		if asked.Paused && p.State != StateFaulted {
			p.State = StatePaused
		}
		if there && p.State != StateFaulted && p.State != StatePaused {
			stalled, err := ages.stalled(ctx, record.checkpoint, f.StalledAfter)
			if err != nil {
				return Status{}, err
			}
			if stalled {
				p.State = StateStalled
			}
		}
		s.add(p)
	}
	s.Lag = int64(max(0, head-s.Position))
	s.LagTime, err = ages.behind(ctx, s.Position)
	return s, err
}

// add takes a partition into the report: the whole is as bad as its worst part, and as far as its last.
func (s *Status) add(p PartitionStatus) {
	s.Partitions[p.Partition] = p
	s.Position = min(s.Position, p.Position)
	if worse(p.State, s.State) {
		s.State = p.State
	}
	if s.Error == "" {
		s.Error = p.Error
	}
}

func worse(a, b State) bool {
	order := []State{StateLive, StateCatchingUp, StatePaused, StateRetrying, StateStopped, StateStalled, StateFaulted}
	return slices.Index(order, a) > slices.Index(order, b)
}

// ages finds how old the oldest event behind a position is.
type ages struct {
	store *store.Store
	head  event.Position
	now   time.Time
	known map[event.Position]time.Duration
}

func (a *ages) behind(ctx context.Context, position event.Position) (time.Duration, error) {
	if position >= a.head {
		return 0, nil
	}
	if age, ok := a.known[position]; ok {
		return age, nil
	}
	var age time.Duration
	for e, err := range a.store.ReadLog(ctx, store.LogRead{From: position + 1, To: a.head, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		age = max(a.now.Sub(e.RecordedAt), 1)
	}
	if a.known == nil {
		a.known = map[event.Position]time.Duration{}
	}
	a.known[position] = age
	return age, nil
}

// stalled reports whether there was something to handle for so long, and the checkpoint has not moved for so long. With
// nothing to handle a checkpoint that stands still is idle.
func (a *ages) stalled(ctx context.Context, c checkpoint, after time.Duration) (bool, error) {
	if c.Position >= a.head || a.now.Sub(c.MovedAt) < after {
		return false, nil
	}
	age, err := a.behind(ctx, c.Position)
	return age >= after, err
}
