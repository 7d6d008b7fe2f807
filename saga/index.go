package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// The buckets of the index. Keys begin with the name of the saga and a slash; the id, which may hold slashes, stands last.
const (
	instanceBucket    = "saga/instances"   // saga/started/id: an Instance
	statusBucket      = "saga/status"      // saga/status/started/id
	correlationBucket = "saga/correlation" // saga/correlation, escaped/started/id
	agendaBucket      = "saga/agenda"      // saga/partition/due/id
)

func instanceKey(saga, id string, started int64) string {
	return fmt.Sprintf("%s/%016d/%s", saga, started, id)
}

func statusKey(saga, id string, sum *summary) string {
	return fmt.Sprintf("%s/%s/%016d/%s", saga, sum.Status, sum.Started, id)
}

func correlationKey(saga, id string, sum *summary) string {
	return fmt.Sprintf("%s/%s/%016d/%s", saga, url.QueryEscape(sum.Correlation), sum.Started, id)
}

func agendaPrefix(saga string, partition int) string { return fmt.Sprintf("%s/%05d/", saga, partition) }

func agendaKey(saga, id string, partition int, due int64) string {
	return fmt.Sprintf("%s/%05d/%016d/%s", saga, partition, due, id)
}

// splitAgenda gives the due time and the id of a key.
func splitAgenda(key string) (due int64, id string, err error) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) == 4 {
		_, err = fmt.Sscanf(parts[2], "%d", &due)
	}
	if len(parts) != 4 || err != nil {
		return 0, "", fmt.Errorf("record %s/%s: %w: no key of the agenda", agendaBucket, key, store.ErrCorrupt)
	}
	return due, parts[3], nil
}

// transition is a change of what the index says of one instance.
type transition struct {
	id       string
	was, now summary
	at       time.Time
}

// operations write a transition. Entries of all states that were passed on the way are removed, so that an index which is
// made anew over an old one comes out right.
func (t *transition) operations(saga string, partition int, ops []store.Op) []store.Op {
	was, now := &t.was, &t.now
	gone := now.Status == ""
	if was.Status != "" && (gone || was.Status != now.Status || was.Started != now.Started) {
		ops = append(ops, store.Delete(statusBucket, statusKey(saga, t.id, was)))
	}
	if was.Due != 0 && (gone || was.Due != now.Due) {
		ops = append(ops, store.Delete(agendaBucket, agendaKey(saga, t.id, partition, was.Due)))
	}
	if was.Correlation != "" && (gone || was.Correlation != now.Correlation) {
		ops = append(ops, store.Delete(correlationBucket, correlationKey(saga, t.id, was)))
	}
	if gone {
		return append(ops, store.Delete(instanceBucket, instanceKey(saga, t.id, was.Started)))
	}
	value, _ := json.Marshal(now.instance(saga, t.id, t.at.UTC())) // strings, numbers and times: cannot fail
	ops = append(ops, store.Put(instanceBucket, instanceKey(saga, t.id, now.Started), value))
	if was.Status != now.Status {
		ops = append(ops, store.Put(statusBucket, statusKey(saga, t.id, now), nil))
	}
	if now.Due != 0 && was.Due != now.Due {
		ops = append(ops, store.Put(agendaBucket, agendaKey(saga, t.id, partition, now.Due), nil))
	}
	if now.Correlation != "" && was.Correlation != now.Correlation {
		ops = append(ops, store.Put(correlationBucket, correlationKey(saga, t.id, now), nil))
	}
	return ops
}

// Process implements subscription.Processor: it brings the index up to the events, and tells the lane what there is to do.
func (s *service) Process(ctx context.Context, b *subscription.Batch) error {
	l := s.lane(b.Partition)
	var (
		ops     []store.Op
		changed []*transition
		byID    = map[string]*transition{}
	)
	for i := range b.Events {
		e := &b.Events[i]
		id := e.Stream.Key()
		l.noticed(id, e.Version)
		if !strings.Contains(string(e.Data), summaryMark) {
			continue
		}
		decoded, err := decodeEntry(e)
		if err != nil {
			return err
		}
		if decoded.Now == nil {
			continue
		}
		t := &transition{id: id, now: *decoded.Now, at: e.OccurredAt}
		if decoded.Was != nil {
			t.was = *decoded.Was
		}
		if t.now.Status == "" {
			if err := s.remove(ctx, e.Stream, e.Version); err != nil {
				return err
			}
		}
		ops = t.operations(s.name, b.Partition, ops)
		if byID[id] == nil {
			changed = append(changed, t)
		}
		byID[id] = t
	}
	if len(ops) == 0 {
		b.Done(len(b.Events))
		return nil
	}
	if err := b.Commit(ctx, compact(ops)...); err != nil {
		return err
	}
	for _, t := range changed {
		l.due(t.id, byID[t.id].now.Due)
	}
	return nil
}

// compact leaves the last operation on each record.
func compact(ops []store.Op) []store.Op {
	last := make(map[[2]string]int, len(ops))
	for i := range ops {
		last[[2]string{ops[i].Bucket, ops[i].Key}] = i
	}
	kept := ops[:0]
	for i := range ops {
		if last[[2]string{ops[i].Bucket, ops[i].Key}] == i {
			kept = append(kept, ops[i])
		}
	}
	return kept
}

// remove deletes the stream of an instance whose retention is over. A backend that cannot keeps it.
func (s *service) remove(ctx context.Context, stream event.StreamID, version event.Version) error {
	_, err := s.log.Delete(ctx, stream, store.Exactly(version))
	if errors.Is(err, store.ErrUnsupported) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrStreamDeleted) {
		return nil
	}
	return err
}
