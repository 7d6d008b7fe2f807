package migrate

import (
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// Options are the settings of Copy and Plan; the zero value works.
type Options struct {
	// SwitchOver, if set, makes Copy go on following the source after it has caught up, until the channel is closed. Then
	// it copies what the source holds at that moment, and ends. Stop the source's writers before. Defaults to nil: Copy
	// ends when it has caught up.
	SwitchOver <-chan struct{}

	// Records copies the keyed records too (checkpoints, documents, dead letters, snapshots), at the end: nobody should
	// write them meanwhile. Records of the target that the source does not have are removed. Leases are left out.
	// Defaults to false.
	Records bool

	// BatchEvents is how many events are imported at once; the target's limits may make it fewer. Defaults to 1,000.
	BatchEvents int

	// PollInterval is how long after the source was found to hold nothing new it is asked again, as a safety net where it
	// wakes followers up. Defaults to 250 ms.
	PollInterval time.Duration

	// Patience is for how long a source or target that cannot be reached is waited for, from the last progress on.
	// Defaults to 1 minute; negative: not at all.
	Patience time.Duration

	// Progress is called after each batch, and each time the copy has caught up. It must not block for long. Defaults to
	// none.
	Progress func(Progress)
}

// Progress says how far a copy or a comparison is.
type Progress struct {
	Position event.Position // everything up to it is done
	Head     event.Position // of the source, when it was last asked
	Events   int64          // done in this run
	CaughtUp bool           // Copy has reached the head at least once
}

// batchBytes bounds the data of one batch.
const batchBytes = 2 << 20

func (o Options) withDefaults() Options {
	if o.BatchEvents == 0 {
		o.BatchEvents = 1000
	}
	if o.PollInterval == 0 {
		o.PollInterval = 250 * time.Millisecond
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o
}

func (o Options) validate(from, to *store.Store) error {
	var faults []error
	if o.BatchEvents < 0 {
		faults = append(faults, fmt.Errorf("%w: BatchEvents %d: must not be negative", store.ErrInvalid, o.BatchEvents))
	}
	if o.PollInterval < 0 {
		faults = append(faults, fmt.Errorf("%w: PollInterval %v: must not be negative", store.ErrInvalid, o.PollInterval))
	}
	if from == to || from.Backend() == to.Backend() {
		faults = append(faults, fmt.Errorf("%w: source and target are the same store", store.ErrInvalid))
	}
	if _, ok := to.Backend().(store.Importer); !ok {
		faults = append(faults, fmt.Errorf("the target: import events as they are: %w", store.ErrUnsupported))
	}
	if o.Records {
		for name, s := range map[string]*store.Store{"source": from, "target": to} {
			if _, ok := s.Backend().(store.BucketLister); !ok {
				faults = append(faults, fmt.Errorf("the %s: list the buckets of records: %w", name, store.ErrUnsupported))
			}
		}
	}
	return errors.Join(faults...)
}
