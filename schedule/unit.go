package schedule

import (
	"context"
	"errors"

	"lexigram.dev/events/store"
)

// opsOfUnit is the most operations that a unit has, dead letters aside.
const opsOfUnit = 3

// unit is a change of one delivery, which is done whole or not at all. Its first operation expects a revision of the entry
// at the key.
type unit struct {
	key       string
	ops       []store.Op
	revisions []store.Revision // of the ops, when it is done
	lost      bool             // somebody else has changed the entry before; nothing was done
}

// apply does units in one batch. After an error it is not known whether they are done.
func (s *Scheduler) apply(ctx context.Context, units []unit) error {
	for {
		var ops []store.Op
		for i := range units {
			if !units[i].lost {
				ops = append(ops, units[i].ops...)
			}
		}
		revisions, err := s.store.Apply(ctx, ops...)
		var conflict *store.RevisionError
		if errors.As(err, &conflict) && lose(units, conflict) {
			continue
		}
		if err != nil {
			return err
		}
		for i := range units {
			if u := &units[i]; !u.lost {
				u.revisions, revisions = revisions[:len(u.ops)], revisions[len(u.ops):]
			}
		}
		return nil
	}
}

// lose marks the unit whose entry is not as it was expected.
func lose(units []unit, conflict *store.RevisionError) bool {
	for i := range units {
		if units[i].key == conflict.Key && conflict.Bucket == agendaBucket && !units[i].lost {
			units[i].lost = true
			return true
		}
	}
	return false
}
