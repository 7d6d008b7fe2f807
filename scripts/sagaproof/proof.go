package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/drivers"
	"lexigram.dev/events/examples/orders/fulfilment"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/store"
)

// proof is one test.
type proof struct {
	instances, workers int
	over, patience     time.Duration
	store              string
	sabotage           string
	out                io.Writer // lines for people; nil: none

	started atomic.Int64
}

// summary is what came of it.
type summary struct {
	Store         store.Description   `json:"store"`
	Instances     int                 `json:"instances"`
	Statuses      map[saga.Status]int `json:"statuses"`
	Kills         int                 `json:"kills"`
	Freezes       int                 `json:"freezes"`
	Interrupted   int                 `json:"interrupted"`   // actions and compensations that another worker took over
	Failed        int                 `json:"failed"`        // instances whose compensation had failed, all shown as such
	Retried       int                 `json:"retried"`       // of these, by an operator after the repair
	Actions       map[string]*tally   `json:"actions"`       // by step
	Compensations map[string]*tally   `json:"compensations"` // by step
	Refused       int                 `json:"refused"`       // requests that came after they were taken back
	RefusedCalls  int                 `json:"refused_calls"`
	Took          time.Duration       `json:"took_ns"` // from the first start to the last end
	Error         string              `json:"error,omitempty"`
}

func (p *proof) say(format string, args ...any) {
	if p.out != nil {
		_, _ = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// run is the test.
func (p *proof) run(ctx context.Context) (s summary, err error) {
	folder, err := os.MkdirTemp("", "sagaproof")
	if err != nil {
		return s, err
	}
	defer func() {
		if err == nil || p.out == nil {
			err = errors.Join(err, os.RemoveAll(folder))
		} else {
			p.say("left:         what the workers have said, and the ledger, are in %s", folder)
		}
	}()
	if p.store == "" {
		p.store = "sqlite:" + filepath.Join(folder, "events.db")
	}
	l, err := openLedger(folder)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	backend, err := store.OpenURL(ctx, p.store, drivers.All(), store.OpenOptions{AutoMigrate: true})
	if err != nil {
		return s, err
	}
	log := store.New(backend, store.Options{})
	defer func() { err = errors.Join(err, log.Close()) }()
	if head, err := log.Head(ctx); err != nil || head > 0 {
		return s, errors.Join(fmt.Errorf("the store holds %d events: give an empty one", head), err)
	}
	program, err := os.Executable()
	if err != nil {
		return s, err
	}
	c := &crowd{program: program, task: task{Store: p.store, Folder: folder, Sabotage: p.sabotage}, running: make([]*exec.Cmd, p.workers)}
	for i := range c.running {
		if err := c.start(i); err != nil {
			return s, errors.Join(err, c.stop())
		}
	}
	s.Instances = p.instances
	if s.Store, err = log.Describe(ctx); err == nil {
		p.say("store:        %s %s, %d workers", s.Store.Backend, s.Store.Version, p.workers)
		err = p.fire(ctx, log, c, &s)
	}
	if err == nil {
		err = p.repair(ctx, log, l, &s)
	}
	err = errors.Join(err, c.stop())                  // they wait for suppliers who are late
	err = errors.Join(err, p.verify(ctx, log, l, &s)) // also where something is wrong already: it may say why
	p.report(&s)
	if err == nil {
		p.say("sagaproof: ok")
	}
	return s, err
}

// fire starts all instances and torments the workers until all have come to an end.
func (p *proof) fire(ctx context.Context, log *store.Store, c *crowd, s *summary) error {
	ctx, cancel := context.WithTimeout(ctx, p.over+p.patience)
	defer cancel()
	began := time.Now()
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		faults  []error
	)
	spawn := func(do func() error) {
		running.Go(func() {
			if err := do(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, err)
				cancel()
			}
		})
	}
	spawn(func() error { return p.begin(ctx, log) })
	spawn(func() error { return c.torment(ctx) })
	spawn(func() error {
		defer cancel()
		return p.settle(ctx, log, c, p.instances, time.Now())
	})
	running.Wait()
	s.Took, s.Kills, s.Freezes = time.Since(began), int(c.kills.Load()), int(c.freezes.Load())
	return errors.Join(faults...)
}

// begin starts the instances, evenly over the time.
func (p *proof) begin(ctx context.Context, log *store.Store) error {
	definition, err := fulfilment.Define(fulfilment.Suppliers{}) // nothing is run here
	if err != nil {
		return err
	}
	set, err := saga.NewSet(log, sagaOptions(), definition)
	if err != nil {
		return err
	}
	var (
		next     atomic.Int64
		starters sync.WaitGroup
		faults   = make([]error, 8)
	)
	began := time.Now()
	for i := range faults {
		starters.Go(func() {
			for n := next.Add(1); n <= int64(p.instances) && faults[i] == nil; n = next.Add(1) {
				if !wait(ctx, time.Until(began.Add(p.over*time.Duration(n)/time.Duration(p.instances)))) {
					return
				}
				id := orderID(int(n))
				order := fulfilment.Order{ID: id, Product: "teapot", Quantity: 1, Cents: 1995}
				if faults[i] = set.Start(ctx, fulfilment.Name, id, order, saga.StartOptions{}); faults[i] == nil {
					p.started.Add(1)
				}
			}
		})
	}
	starters.Wait()
	select {
	case <-ctx.Done(): // who has stopped it says why
		return nil
	default:
		return errors.Join(faults...)
	}
}

// settle waits until so many instances have come to an end, or to a failure, and tells how far it is.
func (p *proof) settle(ctx context.Context, log *store.Store, c *crowd, want int, began time.Time) error {
	for told := time.Now(); ; {
		statuses, unfinished, err := count(ctx, log)
		if ctx.Err() == nil && err != nil {
			return err
		}
		done := statuses[saga.StatusCompleted] + statuses[saga.StatusCompensated] + statuses[saga.StatusCompensationFailed] + statuses[saga.StatusFailed]
		if ctx.Err() == nil && (time.Since(told) > 2*time.Second || done >= want) {
			told = time.Now()
			p.say("progress:     %3.0f s: %d of %d started; %d completed, %d compensated, %d failed; %d kills, %d freezes", time.Since(began).Seconds(),
				p.started.Load(), p.instances, statuses[saga.StatusCompleted], statuses[saga.StatusCompensated], statuses[saga.StatusCompensationFailed], c.kills.Load(), c.freezes.Load())
		}
		if done >= want {
			return nil
		}
		if !wait(ctx, 200*time.Millisecond) {
			return fmt.Errorf("only %d of %d instances have come to an end; the first that have not: %v", done, want, unfinished)
		}
	}
}

// count counts the instances of the index by status, and names some that go on.
func count(ctx context.Context, log *store.Store) (statuses map[saga.Status]int, unfinished []string, err error) {
	statuses = map[saga.Status]int{}
	for i, err := range saga.NewControl(log, saga.ControlOptions{}).List(ctx, saga.Filter{Saga: fulfilment.Name}) {
		if err != nil {
			return statuses, unfinished, err
		}
		statuses[i.Status]++
		if !i.Status.Ended() && i.Status != saga.StatusCompensationFailed && len(unfinished) < 5 {
			unfinished = append(unfinished, fmt.Sprintf("%s is %s (%s)", i.ID, i.Status, i.Error))
		}
	}
	return statuses, unfinished, nil
}

// repair does what an operator does: every second instance whose compensation has failed is retried once its supplier is
// repaired, and has to come to its end. The others stay, for all to see.
func (p *proof) repair(ctx context.Context, log *store.Store, l *ledger, s *summary) error {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	control := saga.NewControl(log, saga.ControlOptions{})
	var failed []string
	for i, err := range control.List(ctx, saga.Filter{Saga: fulfilment.Name, Status: saga.StatusCompensationFailed}) {
		if err != nil {
			return err
		}
		failed = append(failed, i.ID)
	}
	s.Failed = len(failed)
	retried := slices.DeleteFunc(slices.Clone(failed), func(id string) bool { return slices.Index(failed, id)%2 == 1 })
	for _, id := range retried {
		if err := errors.Join(l.repair(id), control.Retry(ctx, fulfilment.Name, id, "operator")); err != nil {
			return err
		}
	}
	s.Retried = len(retried)
	for _, id := range retried {
		for {
			d, err := control.Get(ctx, fulfilment.Name, id)
			if err != nil {
				return err
			}
			if d.Status == saga.StatusCompensated {
				break
			}
			if !wait(ctx, 20*time.Millisecond) {
				return fmt.Errorf("instance %s was retried, and is %s (%s)", id, d.Status, d.Error)
			}
		}
	}
	return p.indexed(ctx, log, s)
}

// indexed waits until the index has heard of the retries.
func (p *proof) indexed(ctx context.Context, log *store.Store, s *summary) error {
	for {
		statuses, _, err := count(ctx, log)
		if err != nil {
			return err
		}
		if statuses[saga.StatusCompensationFailed] == s.Failed-s.Retried && statuses[saga.StatusCompensating]+statuses[saga.StatusRunning] == 0 {
			return nil
		}
		if !wait(ctx, 20*time.Millisecond) {
			return fmt.Errorf("the index says %v; %d instances had failed, %d were retried", statuses, s.Failed, s.Retried)
		}
	}
}
