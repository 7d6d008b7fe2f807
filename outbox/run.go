package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/store"
)

// run is one Run of a TableRelay.
type run struct {
	*TableRelay
	owner  string    // of the lease on SQLite
	pruned time.Time // when old messages were last removed
	looked time.Time // when requested retries were last looked for
}

const (
	pruneEvery = time.Minute
	pruneRows  = 500 // in one statement
)

// loop works until ctx ends. work outlives ctx by the grace.
func (r *run) loop(ctx, work context.Context) {
	defer r.leave()
	for failures := 0; ctx.Err() == nil; {
		more, next, err := r.round(ctx, work)
		if err != nil {
			failures++
			if ctx.Err() == nil {
				r.o.OnError(fmt.Errorf("outbox relay %s: %w", r.name, err))
			}
			sleep(ctx, nil, r.o.Retry.Pause(failures))
			continue
		}
		failures = 0
		if !more {
			r.rest(ctx, next)
		}
	}
}

// rest waits until there may be something to do.
func (r *run) rest(ctx context.Context, next time.Time) {
	d := r.o.PollInterval
	if !next.IsZero() {
		d = min(d, max(next.Sub(r.o.Now()), time.Millisecond))
	}
	sleep(ctx, r.wake, d)
}

// round does what there is to do, once. more is set when there may be more right now; next is when a message that has
// failed may be tried again.
func (r *run) round(ctx, work context.Context) (more bool, next time.Time, err error) {
	h, err := r.take(work)
	switch {
	case errors.Is(err, errStandby):
		r.storm.note(nil, r.o.Now())
		return false, next, nil
	case err != nil:
		r.storm.note(err, r.o.Now())
		return false, next, err
	}
	outage, err := r.publish(work, &h)
	if err == nil {
		err = r.prune(ctx)
	}
	if err == nil && outage == nil && !(h.full && r.o.Now().Sub(r.looked) < r.o.PollInterval) {
		r.looked = r.o.Now()
		outage, err = r.retryLetters(ctx, work)
	}
	r.storm.note(err, r.o.Now())
	return h.full, h.next, errors.Join(outage, err)
}

// publish hands the rows of a claim to the broker and writes what became of them.
func (r *run) publish(ctx context.Context, h *hold) (outage, err error) {
	if len(h.rows) == 0 {
		return nil, nil
	}
	defer h.drop()
	parcels := make([]*parcel, len(h.rows))
	for i := range h.rows {
		row := &h.rows[i]
		parcels[i] = &parcel{lane: row.lane(), messages: []broker.Message{row.message}, tries: row.attempts, err: row.damaged}
		if row.damaged != nil {
			parcels[i].fate = fateRefused
		}
	}
	outage = r.courier.attempt(ctx, parcels)
	r.weather.note(outage, r.o.Now())

	var s settlement
	for i, p := range parcels {
		row := &h.rows[i]
		switch {
		case p.sent:
			s.sent = append(s.sent, row.id)
		case p.fate == fateOutage:
		case p.fate == fateRefused || row.attempts+1 >= r.o.Retry.Attempts:
			if parked := r.park(ctx, row, p.err); parked != nil {
				err = errors.Join(err, parked) // the row stays
				continue
			}
			s.remove = append(s.remove, row.id)
		default:
			r.o.OnError(fmt.Errorf("outbox relay %s: message %s to topic %s: attempt %d of %d: %w",
				r.name, row.message.ID, row.message.Topic, row.attempts+1, r.o.Retry.Attempts, p.err))
			f := failure{id: row.id, cause: p.err, nextAt: r.o.Now().Add(r.o.Retry.Pause(row.attempts + 1))}
			s.failed = append(s.failed, f)
			h.later(f.nextAt.UnixMicro(), r.o.Now())
		}
	}
	return outage, errors.Join(err, r.settle(ctx, *h, s))
}

// park makes a message a dead letter. The row is removed after that; a crash in between parks it again, which is the same.
func (r *run) park(ctx context.Context, row *row, cause error) error {
	m := row.message
	err := r.letters.ParkNow(ctx, deadletter.Letter{
		Source: r.Source(), Error: cause.Error(), Attempts: row.attempts + 1,
		Message: &deadletter.Message{ID: m.ID, Topic: m.Topic, Key: m.Key, Headers: m.Headers, Body: m.Body},
	})
	if err == nil {
		r.o.OnError(fmt.Errorf("outbox relay %s: message %s to topic %s is a dead letter: %w", r.name, m.ID, m.Topic, cause))
	}
	return err
}

// retryLetters publishes the dead letters whose retry was asked for.
func (r *run) retryLetters(ctx, work context.Context) (outage, err error) {
	for letter, err := range r.letters.Requested(work, r.Source()) {
		if err != nil || ctx.Err() != nil {
			return nil, err
		}
		if letter.Message == nil {
			continue
		}
		p := &parcel{messages: []broker.Message{messageOf(letter.Message)}}
		outage := r.courier.attempt(work, []*parcel{p})
		r.weather.note(outage, r.o.Now())
		if outage != nil {
			return outage, nil // it stays requested
		}
		var ops []store.Op
		if p.sent {
			ops, err = r.letters.Resolved(work, letter)
		} else {
			ops, err = r.letters.Failed(work, letter, p.err)
		}
		if err == nil {
			err = r.letters.Apply(work, ops...)
		}
		if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict: somebody has changed it, or another relay was faster
			return nil, err
		}
	}
	return nil, nil
}

func messageOf(m *deadletter.Message) broker.Message {
	return broker.Message{ID: m.ID, Topic: m.Topic, Key: m.Key, Headers: m.Headers, Body: m.Body}
}

// prune removes messages that were sent long ago, now and then, a few at a time.
func (r *run) prune(ctx context.Context) error {
	now := r.o.Now()
	if now.Sub(r.pruned) < pruneEvery && !r.pruned.IsZero() {
		return nil
	}
	for ctx.Err() == nil {
		result, err := r.db.ExecContext(ctx, fmt.Sprintf(r.table.in(sqlPrune), now.Add(-r.o.Retention).UnixMicro(), pruneRows))
		if err != nil {
			return fmt.Errorf("remove old messages: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n < pruneRows {
			r.pruned = now
			return err
		}
	}
	return nil
}

// leave gives the lease back.
func (r *run) leave() {
	if r.table.Dialect != SQLite {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := r.db.ExecContext(ctx, r.table.in(sqlReleaseLease), r.owner); err != nil {
		r.o.OnError(fmt.Errorf("outbox relay %s: give the lease back: %w", r.name, err))
	}
}
