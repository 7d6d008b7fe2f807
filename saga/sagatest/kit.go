package sagatest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

// T is what the kit needs of a *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// maxMoves is how many attempts one Run may make: a saga that goes round for ever must not hang its test.
const maxMoves = 10_000

// kit is what both styles have in common: an instance, and how its attempts end.
type kit struct {
	t       T
	o       saga.Options
	trial   *saga.Trial
	saga    string
	id      string // "": there is none yet
	next    map[string][]answer
	always  map[string]answer
	usually answer
	broken  bool // reported already
}

func newKit(t T, name string, usually answer) kit {
	return kit{t: t, saga: name, next: map[string][]answer{}, always: map[string]answer{}, usually: usually}
}

// open makes the trial. Its store lives in memory and holds nothing that would have to be closed.
func (k *kit) open(definition saga.Definer) {
	log := store.New(memstore.New(memstore.Options{}), store.Options{})
	trial, err := saga.NewTrial(context.Background(), log, k.o, definition)
	k.trial = trial
	k.must("given", err)
}

// must reports an error; what follows is passed over then.
func (k *kit) must(what string, err error) bool {
	k.t.Helper()
	if err != nil && !k.broken {
		k.broken = true
		k.t.Errorf("%s: %v%s", what, err, k.story())
	}
	return err == nil
}

// answerNext gives the attempts at a step their ends, one after the other.
func (k *kit) answerNext(step string, answers ...answer) {
	k.next[step] = append(k.next[step], answers...)
}

// run brings the instance on. Where it waits, the clock jumps to what comes due until then; to the end of a pause between
// two attempts in any case, if pauses are free.
func (k *kit) run(until time.Time, freePauses bool) {
	k.t.Helper()
	_, begun := k.detail()
	for moves := 0; !k.broken && begun; moves++ {
		if moves == maxMoves {
			k.must("run", fmt.Errorf("after %d attempts it has not come to rest", maxMoves))
			return
		}
		attempts, err := k.trial.Look(k.saga, k.id)
		if !k.must("run", err) {
			return
		}
		if len(attempts) > 0 {
			k.must("run", k.answer(attempts))
			continue
		}
		d, _ := k.detail()
		pause := d.Status == saga.StatusRunning || d.Status == saga.StatusCompensating
		if d.Due.IsZero() || !d.Due.After(k.trial.Now()) || d.Due.After(until) && (!freePauses || !pause) {
			break
		}
		k.trial.Jump(d.Due.Sub(k.trial.Now()))
	}
	if left := until.Sub(k.trial.Now()); left > 0 {
		k.trial.Jump(left)
	}
}

// answer ends the first of the attempts; one that nothing is heard of ends last.
func (k *kit) answer(attempts []*saga.Attempt) error {
	var silent *saga.Attempt
	for _, a := range attempts {
		if chosen := k.chosen(a); !chosen.silent {
			return k.take(a)
		} else if silent == nil {
			silent = a
		}
	}
	return k.take(silent)
}

func (k *kit) take(a *saga.Attempt) error {
	chosen := k.chosen(a)
	if name := nameOf(a); len(k.next[name]) > 0 {
		k.next[name] = k.next[name][1:]
	}
	return chosen.end(a)
}

// chosen is how an attempt is to end.
func (k *kit) chosen(a *saga.Attempt) answer {
	name := nameOf(a)
	if next := k.next[name]; len(next) > 0 {
		return next[0]
	}
	if always, ok := k.always[name]; ok {
		return always
	}
	return k.usually
}

// pass lets time pass: all that comes due meanwhile happens at its time.
func (k *kit) pass(d time.Duration) {
	k.t.Helper()
	k.run(k.trial.Now().Add(d), false)
	if !k.broken && k.id != "" {
		k.run(k.trial.Now(), false) // what is due at the very end
	}
}

// detail gives the instance as it is; false where there is none.
func (k *kit) detail() (saga.Detail, bool) {
	if k.trial == nil || k.id == "" {
		return saga.Detail{}, false
	}
	d, err := k.trial.Control().Get(context.Background(), k.saga, k.id)
	if err != nil && !errors.Is(err, saga.ErrUnknown) {
		k.must("look at the instance", err)
	}
	return d, err == nil
}
