package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// Control steers subscriptions by name, from whichever process: it writes to the store, and those that run them see it
// within their PollInterval. It is safe for concurrent use.
type Control struct {
	store *store.Store
}

// NewControl gives the control over the subscriptions of a store.
func NewControl(s *store.Store) *Control { return &Control{store: s} }

// control is what operators ask of those that run a subscription.
type control struct {
	Paused bool  `json:"paused"`
	Resets int64 `json:"resets"` // grows with each reset
}

func loadControl(ctx context.Context, s *store.Store, name string) (control, store.Revision, error) {
	var c control
	r, err := s.Get(ctx, controlBucket, name)
	if errors.Is(err, store.ErrNotFound) {
		return c, 0, nil
	}
	if err != nil {
		return c, 0, err
	}
	if err := json.Unmarshal(r.Value, &c); err != nil {
		return c, 0, fmt.Errorf("control record %s: %w: %w", name, store.ErrCorrupt, err)
	}
	return c, r.Revision, nil
}

// change rewrites the control record.
func (c *Control) change(ctx context.Context, name string, change func(*control)) error {
	for {
		found, revision, err := loadControl(ctx, c.store, name)
		if err != nil {
			return err
		}
		change(&found)
		value, _ := json.Marshal(found) // a bool and a number: cannot fail
		_, err = c.store.Apply(ctx, store.Put(controlBucket, name, value).When(store.IfRevision(revision)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// known gives the checkpoints of a subscription, or store.ErrNotFound.
func (c *Control) known(ctx context.Context, name string) ([]stored, error) {
	if err := validateName(name); err != nil {
		return nil, invalid(err)
	}
	found, err := scanCheckpoints(ctx, c.store, name)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%w: it has never run", store.ErrNotFound)
	}
	return found, err
}

// List yields the status of each subscription that has ever run, by name. One whose checkpoints are damaged is listed as
// faulted.
func (c *Control) List(ctx context.Context) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		for from := ""; ; {
			name, err := c.nextName(ctx, from)
			if err != nil {
				yield(Status{}, fmt.Errorf("list subscriptions: %w", err))
				return
			}
			if name == "" {
				return
			}
			status, err := c.Status(ctx, name)
			switch {
			case errors.Is(err, ErrCheckpoint):
				status = Status{Name: name, State: StateFaulted, Error: err.Error()}
			case errors.Is(err, store.ErrNotFound): // deleted meanwhile
				from = name + "0"
				continue
			case err != nil:
				yield(Status{}, fmt.Errorf("list subscriptions: %w", err))
				return
			}
			if !yield(status, nil) {
				return
			}
			from = name + "0" // the byte after the slash
		}
	}
}

// nextName gives the name in the first key from a given one on; "" at the end.
func (c *Control) nextName(ctx context.Context, from string) (string, error) {
	for r, err := range c.store.Scan(ctx, store.Scan{Bucket: checkpointBucket, From: from, Limit: 1}) {
		if err != nil {
			return "", err
		}
		name, _, _ := strings.Cut(r.Key, "/")
		return name, nil
	}
	return "", nil
}

// Status reports on one. It gives store.ErrNotFound for a name that has never run.
func (c *Control) Status(ctx context.Context, name string) (Status, error) {
	s, err := c.status(ctx, name)
	if err != nil {
		return Status{}, fmt.Errorf("status of subscription %s: %w", name, err)
	}
	return s, nil
}

// Pause stops the feeding, also across restarts, until Resume.
func (c *Control) Pause(ctx context.Context, name string) error {
	_, err := c.known(ctx, name)
	if err == nil {
		err = c.change(ctx, name, func(r *control) { r.Paused = true })
	}
	if err != nil {
		return fmt.Errorf("pause subscription %s: %w", name, err)
	}
	return nil
}

// Resume ends a pause. It also forgets faults; those that have stopped at one try again when they are run again.
func (c *Control) Resume(ctx context.Context, name string) error {
	_, err := c.known(ctx, name)
	if err == nil {
		err = c.change(ctx, name, func(r *control) { r.Paused = false })
	}
	if err == nil {
		err = c.forgetFaults(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("resume subscription %s: %w", name, err)
	}
	return nil
}

func (c *Control) forgetFaults(ctx context.Context, name string) error {
	for r, err := range c.store.Scan(ctx, store.Prefix(statusBucket, name+"/")) {
		if err != nil {
			return err
		}
		var f facts
		if err := json.Unmarshal(r.Value, &f); err == nil && f.State != StateFaulted {
			continue
		}
		_, err := c.store.Apply(ctx, store.Delete(statusBucket, r.Key).When(store.IfRevision(r.Revision)))
		if err != nil && !errors.Is(err, store.ErrConflict) { // else somebody runs it again
			return err
		}
	}
	return nil
}

// Reset moves the checkpoints of all partitions behind position (0: to the start). A running subscription goes on from
// there. What it has done is not undone. A position behind the head is store.ErrInvalid.
func (c *Control) Reset(ctx context.Context, name string, position event.Position) error {
	err := c.reset(ctx, name, position)
	if err != nil {
		return fmt.Errorf("reset subscription %s to position %d: %w", name, position, err)
	}
	return nil
}

func (c *Control) reset(ctx context.Context, name string, position event.Position) error {
	found, err := c.known(ctx, name)
	if err != nil {
		return err
	}
	head, err := c.store.Head(ctx)
	if err != nil {
		return err
	}
	if position < 0 || position > head {
		return invalid(fmt.Errorf("position %d: must be 0 to %d, the head of the log", position, head))
	}
	for _, record := range found {
		if err := c.move(ctx, record, position); err != nil {
			return err
		}
	}
	return c.change(ctx, name, func(r *control) { r.Resets++ })
}

// move rewrites one checkpoint, whatever its owner writes meanwhile. The owner's next write is refused by that.
func (c *Control) move(ctx context.Context, record stored, position event.Position) error {
	for {
		next := record.checkpoint
		next.Position, next.MovedAt = position, time.Now().UTC()
		next.Resets++
		_, err := c.store.Apply(ctx, next.put(record.key).When(store.IfRevision(record.revision)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		r, err := c.store.Get(ctx, checkpointBucket, record.key)
		if err != nil {
			return err
		}
		if record.checkpoint, err = decodeCheckpoint(r); err != nil {
			return err
		}
		record.revision = r.Revision
	}
}

// Delete forgets the checkpoints of a subscription that nobody runs; one that somebody runs gives ErrRunning. Damaged
// checkpoints can be deleted too, so that the name can begin anew. Dead letters stay.
func (c *Control) Delete(ctx context.Context, name string) error {
	if err := c.delete(ctx, name); err != nil {
		return fmt.Errorf("delete subscription %s: %w", name, err)
	}
	return nil
}

func (c *Control) delete(ctx context.Context, name string) error {
	if _, err := c.known(ctx, name); err != nil && !errors.Is(err, ErrCheckpoint) {
		return err
	}
	group, err := lease.Look(ctx, c.store, leaseBucket, name)
	if err != nil {
		return err
	}
	if len(group.Members) > 0 || len(group.Holders) > 0 {
		return fmt.Errorf("%w: by %s", ErrRunning, group)
	}
	for _, bucket := range []string{statusBucket, checkpointBucket} {
		for r, err := range c.store.Scan(ctx, store.Prefix(bucket, name+"/")) {
			if err == nil {
				_, err = c.store.Apply(ctx, store.Delete(bucket, r.Key))
			}
			if err != nil {
				return err
			}
		}
	}
	_, err = c.store.Apply(ctx, store.Delete(controlBucket, name))
	return err
}
