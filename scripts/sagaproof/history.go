package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/examples/orders/fulfilment"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

// history is one instance as its events tell it. They are read here anew, without the code that has written them.
type history struct {
	id          string
	status      saga.Status // "" before the end
	deeds       []*deed     // actions and compensations, in the order in which they were begun
	interrupted int         // deeds that somebody else had to take over
}

// deed is an action or a compensation.
type deed struct {
	key         string
	step        string
	undoes      *deed // nil for an action
	begun       bool  // an attempt runs, or its process has died
	succeeded   bool
	failed      bool // for good
	unknown     bool // it may have been done, although no attempt has succeeded
	interrupted bool
}

// open reports whether it was not settled.
func (d *deed) open() bool { return !d.succeeded && !d.failed }

// compensable tells which steps can be taken back.
func compensable(step string) bool { return step != "notify" }

// told is what an event of an instance says.
type told struct {
	Task    int         `json:"task"`
	Tasks   []int       `json:"tasks"`
	Step    string      `json:"step"`
	Of      int         `json:"of"`
	Unknown bool        `json:"unknown"`
	RetryAt time.Time   `json:"retry_at"`
	Status  saga.Status `json:"status"`
}

// readHistory reads an instance, and checks that its events are in an order that makes sense.
func readHistory(ctx context.Context, log *store.Store, id string) (*history, saga.Detail, error) {
	h := &history{id: id}
	d, err := saga.NewControl(log, saga.ControlOptions{}).Get(ctx, fulfilment.Name, id)
	if err != nil {
		return h, d, err
	}
	keys := map[event.Version]string{}
	for _, m := range d.History {
		keys[m.Version] = m.Key
	}
	stream := event.StreamID("saga_" + fulfilment.Name + "-" + id)
	for r, err := range log.ReadStream(ctx, store.StreamRead{Stream: stream}) {
		if err != nil {
			return h, d, err
		}
		var e told
		if err := json.Unmarshal(r.Data, &e); err != nil {
			return h, d, err
		}
		if err := h.take(r.Type, &e, keys[r.Version]); err != nil {
			return h, d, fmt.Errorf("instance %s, event %d (%s): %w", id, r.Version, r.Type, err)
		}
	}
	return h, d, nil
}

// take takes an event in.
func (h *history) take(kind string, e *told, key string) error {
	if h.status != "" && kind != "saga.retried" {
		return fmt.Errorf("it comes after the end, which was %s", h.status)
	}
	switch kind {
	case "saga.started", "saga.idle":
	case "saga.compensating":
		for _, d := range h.deeds {
			if d.undoes != nil {
				return fmt.Errorf("compensation of %s had begun before", d.undoes.step)
			}
		}
	case "saga.step_started":
		h.deeds = append(h.deeds, &deed{key: key, step: e.Step, begun: true})
	case "saga.compensation_started":
		undone, err := h.deed(e.Of)
		if err != nil {
			return err
		}
		h.deeds = append(h.deeds, &deed{key: key, step: e.Step, undoes: undone, begun: true})
	case "saga.attempted":
		return h.attempted(e.Tasks)
	case "saga.step_succeeded", "saga.compensation_succeeded", "saga.step_failed", "saga.compensation_failed":
		return h.settle(kind, e)
	case "saga.retried":
		for _, number := range e.Tasks {
			d, err := h.deed(number)
			if err != nil {
				return err
			}
			d.failed = false
		}
		h.status = ""
	case "saga.ended":
		h.status = e.Status
	default:
		return fmt.Errorf("no such event belongs to this test")
	}
	return nil
}

func (h *history) attempted(tasks []int) error {
	for _, number := range tasks {
		d, err := h.deed(number)
		if err != nil {
			return err
		}
		if !d.open() {
			return fmt.Errorf("%s was settled, and is begun again", d.step)
		}
		if d.begun { // and nothing more was heard of that
			d.unknown = true
			if !d.interrupted {
				d.interrupted = true
				h.interrupted++
			}
		}
		d.begun = true
	}
	return nil
}

func (h *history) settle(kind string, e *told) error {
	d, err := h.deed(e.Task)
	switch {
	case err != nil:
		return err
	case !d.open():
		return fmt.Errorf("%s is settled a second time", d.step)
	case !d.begun:
		return fmt.Errorf("no attempt at %s had begun", d.step)
	}
	d.begun = false
	switch kind {
	case "saga.step_succeeded", "saga.compensation_succeeded":
		d.succeeded, d.unknown = true, false
	default:
		d.unknown = d.unknown || e.Unknown
		d.failed = e.RetryAt.IsZero()
	}
	return nil
}

func (h *history) deed(number int) (*deed, error) {
	if number < 1 || number > len(h.deeds) {
		return nil, fmt.Errorf("task %d of %d", number, len(h.deeds))
	}
	return h.deeds[number-1], nil
}
