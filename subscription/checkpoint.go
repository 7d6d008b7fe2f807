package subscription

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The buckets. Their keys begin with the name of the subscription and a slash.
const (
	checkpointBucket = "subscription/checkpoints"
	leaseBucket      = "subscription/leases"
	statusBucket     = "subscription/status"
	controlBucket    = "subscription/control" // the name alone is the key
)

// partitionKey is the key of what belongs to one partition.
func partitionKey(name string, partition int) string { return fmt.Sprintf("%s/%05d", name, partition) }

// checkpoint is the stored place of one partition: its events up to Position are handled.
type checkpoint struct {
	Position   event.Position `json:"position"`
	Partitions int            `json:"partitions"` // of the subscription
	Epoch      int64          `json:"epoch"`      // of the lease of who wrote it last; 0: nobody yet
	Owner      string         `json:"owner,omitempty"`
	MovedAt    time.Time      `json:"moved_at"`
	Resets     int64          `json:"resets,omitempty"` // how often it was moved from outside
}

func (c checkpoint) put(key string) store.Op {
	value, _ := json.Marshal(c) // numbers, a string and a time: cannot fail
	return store.Put(checkpointBucket, key, value)
}

func decodeCheckpoint(r store.Record) (checkpoint, error) {
	var c checkpoint
	d := json.NewDecoder(bytes.NewReader(r.Value))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	if err == nil && d.More() {
		err = errors.New("something follows it")
	}
	if err == nil && (c.Position < 0 || c.Partitions < 1) {
		err = fmt.Errorf("position %d of %d partitions", c.Position, c.Partitions)
	}
	if err != nil {
		return checkpoint{}, fmt.Errorf("checkpoint %s: %w: %w", r.Key, ErrCheckpoint, err)
	}
	return c, nil
}

// loadCheckpoint gives the checkpoint of one partition of so many, and its revision. One that is missing is ErrCheckpoint:
// they are all made before any of them is loaded.
func loadCheckpoint(ctx context.Context, s *store.Store, name string, partition, partitions int) (checkpoint, store.Revision, error) {
	key := partitionKey(name, partition)
	r, err := s.Get(ctx, checkpointBucket, key)
	if errors.Is(err, store.ErrNotFound) {
		return checkpoint{}, 0, fmt.Errorf("checkpoint %s: %w: it is missing", key, ErrCheckpoint)
	}
	if err != nil {
		return checkpoint{}, 0, err
	}
	c, err := decodeCheckpoint(r)
	if err != nil {
		return checkpoint{}, 0, err
	}
	if err := c.fits(ctx, s, key, partitions); err != nil {
		return checkpoint{}, 0, err
	}
	return c, r.Revision, nil
}

// fits refuses a checkpoint of another number of partitions, or behind the end of the log.
func (c checkpoint) fits(ctx context.Context, s *store.Store, key string, partitions int) error {
	if c.Partitions != partitions {
		return fmt.Errorf("checkpoint %s: %w: it is one of %d partitions, not of %d", key, ErrCheckpoint, c.Partitions, partitions)
	}
	if c.Position == 0 {
		return nil
	}
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	if c.Position > head {
		return fmt.Errorf("checkpoint %s: %w: position %d is behind the end of the log, which is %d", key, ErrCheckpoint, c.Position, head)
	}
	return nil
}

// stored is a checkpoint as it is in the store.
type stored struct {
	key      string
	revision store.Revision
	checkpoint
}

// scanCheckpoints gives all checkpoints of a name, by partition; none where it has never run.
func scanCheckpoints(ctx context.Context, s *store.Store, name string) ([]stored, error) {
	var found []stored
	for r, err := range s.Scan(ctx, store.Prefix(checkpointBucket, name+"/")) {
		if err != nil {
			return nil, err
		}
		c, err := decodeCheckpoint(r)
		if err != nil {
			return nil, err
		}
		if want := partitionKey(name, len(found)); r.Key != want {
			return nil, fmt.Errorf("checkpoint %s: %w: it is missing, but there is %s", want, ErrCheckpoint, strings.TrimPrefix(r.Key, name+"/"))
		}
		found = append(found, stored{key: r.Key, revision: r.Revision, checkpoint: c})
	}
	for _, c := range found {
		if c.Partitions != len(found) {
			return nil, fmt.Errorf("checkpoint %s: %w: it is one of %d partitions, but %d are there", c.key, ErrCheckpoint, c.Partitions, len(found))
		}
	}
	return found, nil
}

// ensureCheckpoints makes the checkpoints of a subscription that has never run, all at once, and else checks that they
// are those of so many partitions.
func ensureCheckpoints(ctx context.Context, s *store.Store, name string, partitions int, start Start, now time.Time) error {
	for {
		found, err := scanCheckpoints(ctx, s, name)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return found[0].fits(ctx, s, found[0].key, partitions)
		}
		position, err := start.position(ctx, s)
		if err != nil {
			return err
		}
		ops := make([]store.Op, partitions)
		for i := range ops {
			c := checkpoint{Position: position, Partitions: partitions, MovedAt: now.UTC()}
			ops[i] = c.put(partitionKey(name, i)).When(store.IfAbsent())
		}
		if _, err := s.Apply(ctx, ops...); err == nil || !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// position is where to begin.
func (s Start) position(ctx context.Context, log *store.Store) (event.Position, error) {
	if s.kind == startFirst || s.kind == startAfter && s.after == 0 {
		return 0, nil
	}
	head, err := log.Head(ctx)
	if err != nil {
		return 0, err
	}
	if s.kind == startNow {
		return head, nil
	}
	if s.after > head {
		return 0, fmt.Errorf("start after position %d: %w: the log ends at %d", s.after, ErrCheckpoint, head)
	}
	return s.after, nil
}
