package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/kafkabroker"
	"lexigram.dev/events/drivers"
)

// task is what a process of the test does.
type task struct {
	Role   string        `json:"role"` // "publisher", "consumer", "relay"
	Broker string        `json:"broker"`
	Proxy  string        `json:"proxy,omitempty"` // where connections go instead
	Store  string        `json:"store,omitempty"`
	Folder string        `json:"folder"` // of the ledgers
	Name   string        `json:"name"`   // of the group and the topic
	Part   int           `json:"part"`   // which publisher
	Parts  int           `json:"parts"`
	Keys   int           `json:"keys"`
	Total  int           `json:"total"` // messages of all publishers
	Lasts  time.Duration `json:"lasts"`
}

func (t task) dead() string { return t.Name + "-dead" }

func (t task) group() broker.Group { return broker.Group{Name: t.Name, Topics: []string{t.Name}} }

func (t task) deadGroup() broker.Group {
	return broker.Group{Name: t.Name + "-collector", Topics: []string{t.dead()}}
}

// runChild does a task, and gives the exit code.
func runChild(text string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		fmt.Fprintln(os.Stderr, "bustest:", err)
		return 2
	}
	do := map[string]func(context.Context) error{"publisher": t.publish, "consumer": t.consume, "relay": t.relay}[t.Role]
	before := runtime.NumGoroutine()
	if err := do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bustest: %s %d: %v\n", t.Role, os.Getpid(), err)
		return 1
	}
	if !settled(before) {
		fmt.Fprintf(os.Stderr, "bustest: %s %d: %d goroutines are left, of %d at the beginning:\n", t.Role, os.Getpid(), runtime.NumGoroutine(), before)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		return 1
	}
	return 0
}

// settled waits for goroutines to end.
func settled(before int) bool {
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			return false
		}
		wait(context.Background(), 10*time.Millisecond)
	}
	return true
}

func (t task) open(ctx context.Context) (*broker.Broker, error) {
	var (
		backend broker.Backend
		err     error
	)
	if t.Proxy == "" {
		backend, err = broker.OpenURL(ctx, t.Broker, drivers.Brokers())
	} else {
		backend, err = t.openKafka(ctx)
	}
	if err != nil {
		return nil, err
	}
	return broker.New(backend, broker.Options{}), nil
}

func (t task) openKafka(ctx context.Context) (broker.Backend, error) {
	o, err := kafkabroker.ParseURL(t.Broker)
	if err != nil {
		return nil, err
	}
	o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, t.Proxy)
	}
	return kafkabroker.Open(ctx, o)
}

// headers of our messages; the outbox has others of the same meaning.
const (
	headerNumber = "n"
	headerPoison = "poison"
)

// identify gives the number of a message in its key, and whether it is poisoned.
func identify(m broker.Message) (n int, poisoned bool, err error) {
	text := m.Headers[headerNumber]
	if text == "" {
		text = m.Headers["ce-streamversion"]
	}
	if n, err = strconv.Atoi(text); err != nil {
		return 0, false, fmt.Errorf("message %s has no number: %w", m.ID, err)
	}
	return n, m.Headers[headerPoison] != "" || m.Headers["ce-type"] == typePoisoned, nil
}

var errPoison = errors.New("poisoned")

// consume is a consumer process: it handles messages until it is told to stop, or killed.
func (t task) consume(ctx context.Context) (err error) {
	handled, err := openLedger(t.Folder, handledLedger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, handled.file.Close()) }()
	faults, err := os.OpenFile(filepath.Join(t.Folder, "faults"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, faults.Close()) }()
	b, err := t.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	c, err := broker.NewConsumer(b, t.group(), func(_ context.Context, d broker.Delivery) error {
		n, poisoned, err := identify(d.Message)
		if err != nil {
			return err
		}
		if err := handled.note(d.Key, n, poisoned); err != nil {
			return err
		}
		if poisoned {
			return broker.Permanent(errPoison)
		}
		return nil
	}, broker.ConsumerOptions{
		DeadLetter:    broker.DeadLetterTo(b, t.Name, t.dead()),
		MaxDeliveries: 1_000_000, // kills are no fault of the messages
		Retry:         broker.Retry{Initial: 20 * time.Millisecond, Max: time.Second},
		OnError: func(err error) {
			if !errors.Is(err, errPoison) {
				_, _ = fmt.Fprintf(faults, "%s %d: %v\n", time.Now().Format("15:04:05.000"), os.Getpid(), err)
			}
		},
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}
