package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// bustest is one test.
type bustest struct {
	broker, store         string
	messages, keys        int
	publishers, consumers int
	lasts, patience       time.Duration
	restart               string
	maxRSS                int64
	out                   io.Writer // lines for people; nil: none

	restarted atomic.Int64
}

// summary is what came of it.
type summary struct {
	Broker       broker.Description `json:"broker"`
	Messages     int                `json:"messages"` // that were confirmed, or that the store's log holds
	Handled      int                `json:"handled"`  // times
	Distinct     int                `json:"distinct"` // messages
	Poisoned     int                `json:"poisoned"` // of them
	Letters      int                `json:"letters"`  // dead letters
	Kills        int                `json:"kills"`    // of processes
	Faults       int64              `json:"faults"`   // of the network
	Restarts     int64              `json:"restarts"` // of the broker
	ConsumerRSS  int64              `json:"consumer_rss_bytes"`
	PublisherRSS int64              `json:"publisher_rss_bytes"`
	Publishing   time.Duration      `json:"publishing_ns"`
	Settling     time.Duration      `json:"settling_ns"` // from the end of publishing to the last message
	Error        string             `json:"error,omitempty"`
}

func (t *bustest) say(format string, args ...any) {
	if t.out != nil {
		_, _ = fmt.Fprintf(t.out, format+"\n", args...)
	}
}

// run is the test.
func (t *bustest) run(ctx context.Context) (s summary, err error) {
	folder, err := os.MkdirTemp("", "bustest")
	if err != nil {
		return s, err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(folder)
		} else {
			fmt.Fprintf(os.Stderr, "%sbustest: what is left is in %s\n", lastWords(folder), folder)
		}
	}()
	id := event.NewID().String()
	one := task{
		Broker: t.broker, Store: t.store, Folder: folder, Name: "bustest-" + strings.ToLower(id[len(id)-8:]), Keys: t.keys,
		Total: t.messages, Parts: t.publishers, Lasts: t.lasts,
	}
	b, err := one.open(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, t.cleanUp(b, one), b.Close()) }()
	if s.Broker, err = b.Describe(ctx); err != nil {
		return s, err
	}
	t.say("broker:      %s %s: %s", s.Broker.Broker, s.Broker.Version, s.Broker.Durability)
	if err := errors.Join(b.Declare(ctx, one.group()), b.Declare(ctx, one.deadGroup())); err != nil {
		return s, err
	}
	var log *store.Store
	if t.store != "" {
		if log, err = openStore(ctx, t.store, true); err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, log.Close()) }()
		if head, err := log.Head(ctx); err != nil || head > 0 {
			return s, errors.Join(fmt.Errorf("the store holds %d events: give an empty one", head), err)
		}
	}
	err = t.prove(ctx, &s, one, b, log)
	return s, err
}

// prove starts everything, makes faults while messages are published, waits for the rest and verifies.
func (t *bustest) prove(ctx context.Context, s *summary, one task, b *broker.Broker, log *store.Store) (err error) {
	net, err := one.through()
	if err != nil {
		return err
	}
	if net != nil {
		defer net.proxy.Close()
	} else {
		t.say("network:     the URL names no single host: no faults of the network are made")
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	consumers := newCrowd(program, t.maxRSS, tasks(one, "consumer", t.consumers)...)
	senders := newCrowd(program, t.maxRSS, tasks(one, map[bool]string{false: "publisher", true: "relay"}[log != nil], t.publishers)...)
	handled, err := follow(one.Folder, handledLedger)
	if err != nil {
		return err
	}
	want, err := follow(one.Folder, confirmedLedger)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err = errors.Join(consumers.start(), senders.start()); err == nil {
		err = t.fire(ctx, net, consumers, senders, log, handled, want)
	}
	s.Publishing = time.Since(begun)
	s.Kills, s.Restarts = consumers.kills+senders.kills, t.restarted.Load()
	if net != nil {
		s.Faults = net.faults.Load()
	}
	t.say("chaos:       %d processes killed with -9, %d faults of the network, %d restarts of the broker, in %v", s.Kills, s.Faults, s.Restarts, s.Publishing.Round(time.Millisecond))
	if err == nil && log != nil {
		err = t.readLog(ctx, log, want)
	}
	if err == nil {
		err = t.settle(ctx, handled, want)
		s.Settling = time.Since(begun) - s.Publishing
	}
	if log != nil {
		err = errors.Join(err, senders.stop())
	}
	if err == nil {
		s.Letters, err = t.collect(ctx, b, one, want)
	}
	err = errors.Join(err, consumers.stop(), handled.read())
	s.Messages, s.Handled, s.Distinct, s.Poisoned = want.distinct, handled.lines, handled.distinct, want.countPoisoned()
	s.ConsumerRSS, s.PublisherRSS = consumers.rss, senders.rss
	if err != nil {
		return err
	}
	t.say("handled:     all of %d messages, in the order of their keys, %d times again; the last %v after the end of publishing", s.Distinct, s.Handled-s.Distinct, s.Settling.Round(time.Millisecond))
	t.say("poison:      each of %d messages is a dead letter, and nothing else is", s.Letters)
	t.say("memory:      at most %d MiB in a consumer, %d MiB in a %s; no goroutine was left", s.ConsumerRSS>>20, s.PublisherRSS>>20, senders.tasks[0].Role)
	t.say("bustest: ok")
	return nil
}

func tasks(one task, role string, n int) []task {
	all := make([]task, n)
	for i := range all {
		all[i] = one
		all[i].Role, all[i].Part = role, i
	}
	return all
}

// fire publishes, kills, disturbs and restarts, all at once, until everything is published and the restarts are over.
func (t *bustest) fire(ctx context.Context, net *network, consumers, senders *crowd, log *store.Store, handled, want *follower) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
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
	if net != nil {
		spawn(func() error { net.disturb(ctx); return nil })
	}
	victims := []*crowd{consumers}
	if log != nil {
		victims = append(victims, senders)
	}
	spawn(func() error { return torment(ctx, victims...) })
	spawn(func() error { return t.progress(ctx, handled, want) })
	var publishing sync.WaitGroup
	publish := senders.wait
	if log != nil {
		publish = func() error { return t.write(ctx, log) }
	}
	publishing.Go(func() {
		if err := publish(); err != nil && ctx.Err() == nil { // after a fault the publishers are killed
			spawn(func() error { return err })
		}
	})
	if t.restart != "" {
		publishing.Go(func() {
			if err := t.restarts(ctx); err != nil {
				spawn(func() error { return err })
			}
		})
	}
	stopped := context.AfterFunc(ctx, func() {
		if log == nil { // a fault: the publishers need not go on
			for _, cmd := range senders.running {
				_ = cmd.Process.Kill()
			}
		}
	})
	publishing.Wait()
	stopped()
	cancel()
	running.Wait()
	return errors.Join(faults...)
}

// progress tells now and then how far it is, and ends the test at the first message that is out of order.
func (t *bustest) progress(ctx context.Context, handled, want *follower) error {
	begun, last := time.Now(), time.Now()
	for wait(ctx, 100*time.Millisecond) {
		if err := errors.Join(want.read(), handled.read()); err != nil {
			return err
		}
		if time.Since(last) < 5*time.Second {
			continue
		}
		last = time.Now()
		confirmed := fmt.Sprintf("%d confirmed, ", want.distinct)
		if t.store != "" {
			confirmed = "" // the relays do not tell
		}
		t.say("%9v:   %s%d handled, %d of them again", time.Since(begun).Round(time.Second), confirmed, handled.lines, handled.lines-handled.distinct)
	}
	return nil
}

// settle waits until all that was confirmed is handled.
func (t *bustest) settle(ctx context.Context, handled, want *follower) error {
	ctx, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	for {
		if err := errors.Join(want.read(), handled.read()); err != nil {
			return err
		}
		missing, example := 0, ""
		for key, n := range want.highest {
			if gap := n - handled.highest[key]; gap > 0 {
				missing += gap
				example = fmt.Sprintf("key %s up to %d of %d", key, handled.highest[key], n)
			}
		}
		if missing == 0 {
			return nil
		}
		if !wait(ctx, 50*time.Millisecond) {
			return fmt.Errorf("%d of %d messages that were confirmed are not handled after %v: %s; the consumers' faults are in %s",
				missing, want.distinct, t.patience, example, filepath.Join(filepath.Dir(handled.file.Name()), "faults"))
		}
	}
}

// collect takes the dead letters, and checks that they are the poisoned messages.
func (t *bustest) collect(ctx context.Context, b *broker.Broker, one task, want *follower) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	var (
		mu      sync.Mutex
		missing = want.countPoisoned()
		total   = missing
		seen    = map[string]map[int]bool{}
		strange error
	)
	if missing == 0 {
		return 0, nil
	}
	done, finish := context.WithCancel(ctx)
	defer finish()
	c, err := broker.NewConsumer(b, one.deadGroup(), func(_ context.Context, d broker.Delivery) error {
		n, _, err := identify(d.Message)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !want.poisoned[d.Key][n]:
			strange = fmt.Errorf("message %d of key %s is a dead letter: %s", n, d.Key, d.Headers[broker.HeaderDeadError])
			finish()
		case !seen[d.Key][n]:
			if seen[d.Key] == nil {
				seen[d.Key] = map[int]bool{}
			}
			seen[d.Key][n] = true
			if missing--; missing == 0 {
				finish()
			}
		}
		return nil
	}, broker.ConsumerOptions{DeadLetter: broker.DeadLetterTo(b, one.Name, one.dead()), OnError: func(error) {}})
	if err != nil {
		return 0, err
	}
	err = c.Run(done)
	mu.Lock()
	defer mu.Unlock()
	if err = errors.Join(err, strange); err == nil && missing > 0 {
		err = fmt.Errorf("%d of %d poisoned messages are not among the dead letters", missing, total)
	}
	return total - missing, err
}

// cleanUp removes the groups where the broker can: they would keep messages for ever. A consumer that was killed stays a
// member until its session is over, and as long its group is refused.
func (t *bustest) cleanUp(b *broker.Broker, one task) error {
	ctx, cancel := context.WithTimeout(context.Background(), t.patience)
	defer cancel()
	var faults []error
	for _, g := range []broker.Group{one.group(), one.deadGroup(), {Name: "dead-letters", Topics: []string{one.dead()}}} {
		err := b.RemoveGroup(ctx, g)
		for errors.Is(err, broker.ErrRefused) && wait(ctx, time.Second) {
			err = b.RemoveGroup(ctx, g)
		}
		if !errors.Is(err, broker.ErrUnsupported) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
