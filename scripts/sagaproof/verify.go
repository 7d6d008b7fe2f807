package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"lexigram.dev/events/examples/orders/fulfilment"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

// steps are those of the saga, in order.
func steps() []string { return []string{"reserve", "charge", "ship", "notify", "confirm"} }

// tally counts one kind of deed.
type tally struct {
	Done     int `json:"done"`      // as the histories say
	Ledger   int `json:"ledger"`    // of these, as the ledger says
	Unknown  int `json:"unknown"`   // given up, with an unknown outcome
	Happened int `json:"happened"`  // of these, as the ledger says
	NotDone  int `json:"not_done"`  // given up without having been done, as the histories say
	Doubled  int `json:"doubled"`   // effects that were asked for more than once
	NotFound int `json:"not_found"` // of compensations: there was nothing to take back
}

// verifier compares histories with the ledger.
type verifier struct {
	effects map[string]*effect
	seen    map[string]bool
	s       *summary
	faults  []error
	wrong   int // faults in all
}

// maxFaults is how many faults are told.
const maxFaults = 10

func (v *verifier) fault(format string, args ...any) {
	if v.wrong++; v.wrong <= maxFaults {
		v.faults = append(v.faults, fmt.Errorf(format, args...))
	}
}

// verify compares streams, index and ledger.
func (p *proof) verify(ctx context.Context, log *store.Store, l *ledger, s *summary) error {
	v := &verifier{seen: map[string]bool{}, s: s}
	var err error
	if v.effects, s.Refused, s.RefusedCalls, err = l.effects(); err != nil {
		return err
	}
	index := map[string]saga.Instance{}
	for i, err := range saga.NewControl(log, saga.ControlOptions{}).List(ctx, saga.Filter{Saga: fulfilment.Name}) {
		if err != nil {
			return err
		}
		index[i.ID] = i
	}
	s.Statuses, s.Actions, s.Compensations = map[saga.Status]int{}, map[string]*tally{}, map[string]*tally{}
	for _, step := range steps() {
		s.Actions[step], s.Compensations[step] = &tally{}, &tally{}
	}
	if err := p.readAll(ctx, log, func(h *history, d *saga.Detail, err error) {
		if err != nil {
			v.fault("%w", err)
			return
		}
		if i, ok := index[h.id]; !ok || i.Status != d.Status || i.Error != d.Error {
			v.fault("instance %s: its stream says %s (%s), the index %s (%s)", h.id, d.Status, d.Error, i.Status, i.Error)
		}
		v.instance(h, d)
	}); err != nil {
		return err
	}
	if len(index) != p.instances {
		v.fault("the index has %d instances, %d were started", len(index), p.instances)
	}
	for key, e := range v.effects {
		if !v.seen[key] {
			v.fault("instance %s: the ledger has %s under key %s, of which no history knows", e.instance, e.step, key)
		}
	}
	if v.wrong > maxFaults {
		v.faults = append(v.faults, fmt.Errorf("and %d more", v.wrong-maxFaults))
	}
	return errors.Join(v.faults...)
}

// readAll reads all histories, some at the same time, and hands them on one by one.
func (p *proof) readAll(ctx context.Context, log *store.Store, take func(*history, *saga.Detail, error)) error {
	var (
		next    atomic.Int64
		readers sync.WaitGroup
		mu      sync.Mutex
	)
	for range 4 {
		readers.Go(func() {
			for n := next.Add(1); n <= int64(p.instances) && ctx.Err() == nil; n = next.Add(1) {
				h, d, err := readHistory(ctx, log, orderID(int(n)))
				mu.Lock()
				take(h, &d, err)
				mu.Unlock()
			}
		})
	}
	readers.Wait()
	return ctx.Err()
}

// instance checks one.
func (v *verifier) instance(h *history, d *saga.Detail) {
	v.s.Statuses[d.Status]++
	v.s.Interrupted += h.interrupted
	if h.status != d.Status {
		v.fault("instance %s: its events say %q, its summary %s", h.id, h.status, d.Status)
	}
	undone := map[*deed]*deed{}
	actions := map[string]*deed{}
	for _, deed := range h.deeds {
		row := v.effects[deed.key]
		v.seen[deed.key] = true
		if row != nil && (row.instance != h.id || row.step != deed.step || (row.undoes == "") != (deed.undoes == nil)) {
			v.fault("instance %s: the ledger has %+v under the key of %s", h.id, row, deed.step)
		}
		v.count(h, deed, row)
		if deed.undoes == nil {
			if actions[deed.step] != nil {
				v.fault("instance %s: %s was begun twice", h.id, deed.step)
			}
			actions[deed.step] = deed
			continue
		}
		if undone[deed.undoes] != nil {
			v.fault("instance %s: %s was compensated twice", h.id, deed.step)
		}
		undone[deed.undoes] = deed
		v.compensation(h, deed, row)
	}
	v.end(h, d, actions, undone)
}

// count compares one deed with its row in the ledger.
func (v *verifier) count(h *history, deed *deed, row *effect) {
	what, t := deed.step, v.s.Actions[deed.step]
	if deed.undoes != nil {
		what, t = "the compensation of "+what, v.s.Compensations[deed.step]
	}
	if row != nil && row.calls > 1 {
		t.Doubled++
	}
	switch {
	case deed.succeeded:
		t.Done++
		if row == nil {
			v.fault("instance %s: the history says that %s was done, the ledger does not know of it", h.id, what)
			return
		}
		t.Ledger++
	case deed.open():
		v.fault("instance %s: %s was never settled", h.id, what)
	case deed.unknown:
		t.Unknown++
		if row != nil {
			t.Happened++
		}
	default:
		t.NotDone++
		if row != nil {
			v.fault("instance %s: the history says that %s was not done, the ledger has it", h.id, what)
		}
	}
}

// compensation checks that what was taken back is what was done.
func (v *verifier) compensation(h *history, deed *deed, row *effect) {
	if !deed.undoes.succeeded && !deed.undoes.unknown {
		v.fault("instance %s: %s was compensated, although it was never done", h.id, deed.step)
	}
	if row == nil {
		return
	}
	if row.undoes != deed.undoes.key {
		v.fault("instance %s: the compensation of %s takes back %s, not %s", h.id, deed.step, row.undoes, deed.undoes.key)
	}
	if done := v.effects[deed.undoes.key] != nil; done != row.found {
		v.fault("instance %s: %s took effect (%v), but when it was taken back it was there (%v)", h.id, deed.step, done, row.found)
	}
	if !row.found {
		v.s.Compensations[deed.step].NotFound++
	}
}

// end checks that the status is what was done.
func (v *verifier) end(h *history, d *saga.Detail, actions map[string]*deed, undone map[*deed]*deed) {
	switch d.Status {
	case saga.StatusCompleted:
		for _, step := range steps() {
			if a := actions[step]; a == nil || !a.succeeded {
				v.fault("instance %s: is completed without %s", h.id, step)
			}
		}
		if len(undone) > 0 {
			v.fault("instance %s: is completed, and compensated", h.id)
		}
	case saga.StatusCompensated, saga.StatusCompensationFailed:
		left := 0
		for _, step := range steps() {
			a := actions[step]
			if a == nil || !compensable(step) || !a.succeeded && !a.unknown {
				continue
			}
			if c := undone[a]; c == nil || !c.succeeded {
				left++
			}
		}
		if d.Status == saga.StatusCompensated && left > 0 {
			v.fault("instance %s: is compensated, but %d steps were not", h.id, left)
		}
		if d.Status == saga.StatusCompensationFailed && (left == 0 || d.Error == "") {
			v.fault("instance %s: %d steps are left to compensate, the reason given is %q", h.id, left, d.Error)
		}
	default:
		v.fault("instance %s: is %s (%s)", h.id, d.Status, d.Error)
	}
}
