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
	version  event.Version
}

// operations write a transition. Entries of all states that were passed on the way are removed, so that an index which is
// made anew over an old one comes out right.
func (t *transition) operations(saga string, partition int, ops []store.Op) []store.Op {
	was, now := &t.was, &t.now
	gone := now.Status == ""
	if was.Status != "" && (gone || was.Status != now.Status || was.Started != now.Started) {
		ops = append(ops, store.Delete(statusBucket, statusKey(saga, t.id, was)))
	}
	if was.Due != 0 && !gone && was.Due != now.Due { // of one that is gone it stays until the stream is deleted
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
		expired []*transition
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
		t := &transition{id: id, now: *decoded.Now, at: e.OccurredAt, version: e.Version}
		if decoded.Was != nil {
			t.was = *decoded.Was
		}
		if t.now.Status == "" {
			expired = append(expired, t)
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
		now := &byID[t.id].now
		if now.Status == StatusParked {
			l.seeParked(now.Definition)
		}
		l.due(t.id, now.Due)
	}
	for _, t := range expired {
		l.bury(ctx, t.id, t.version, t.was.Due)
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

// unlisted reports whether an instance whose retention is over is out of the index. Before that its stream must stay.
func (l *lane) unlisted(s *state) bool {
	if s.startedAt.IsZero() { // only the tombstone is left
		return true
	}
	_, err := l.log.Get(l.ctx, instanceBucket, instanceKey(l.name, s.id, s.startedAt.UnixMicro()))
	return isNotFound(err)
}

// bury deletes the stream of an instance whose retention is over, and then what the agenda says of it. A backend that
// cannot delete keeps the stream. After a crash in between the agenda brings it here again.
func (l *lane) bury(ctx context.Context, id string, version event.Version, due int64) {
	_, err := l.log.Delete(ctx, streamOf(l.name, id), store.Exactly(version))
	if errors.Is(err, store.ErrUnsupported) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrStreamDeleted) {
		err = nil
	}
	if err == nil && due != 0 {
		_, err = l.log.Apply(ctx, store.Delete(agendaBucket, agendaKey(l.name, id, l.partition, due)))
	}
	if err != nil && ctx.Err() == nil {
		l.o.OnError(named("remove saga", l.name, id, err))
	}
}
