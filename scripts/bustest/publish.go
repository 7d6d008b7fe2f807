package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lexigram.dev/events/broker"
)

const (
	poisonEvery = 997
	batch       = 50 // messages in a call, of different keys: so one that fails has no successor of its key in the call
	bodyBytes   = 256
)

// publish is a publisher process: it sends its share of the messages, each until it is confirmed, and notes those that are.
func (t task) publish(ctx context.Context) (err error) {
	confirmed, err := openLedger(t.Folder, confirmedLedger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, confirmed.file.Close()) }()
	b, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	var (
		begun   = time.Now()
		mine    = (t.Total - t.Part + t.Parts - 1) / t.Parts
		sent    = 0
		keys    []int
		numbers = map[int]int{}
	)
	for k := t.Part; k < t.Keys; k += t.Parts {
		keys = append(keys, k)
	}
	for at := 0; sent < mine; {
		var call []broker.Message
		for len(call) < min(batch, len(keys), mine-sent) {
			k := keys[at%len(keys)]
			at++
			numbers[k]++
			call = append(call, t.message(k, numbers[k]))
		}
		if err := t.insist(ctx, b, confirmed, call); err != nil {
			return err
		}
		sent += len(call)
		due := begun.Add(time.Duration(float64(t.Lasts) * float64(sent) / float64(mine)))
		if !wait(ctx, time.Until(due)) {
			return ctx.Err()
		}
	}
	return nil
}

func (t task) message(k, n int) broker.Message {
	m := broker.Message{
		ID: fmt.Sprintf("%s-%d-%d", t.Name, k, n), Topic: t.Name, Key: fmt.Sprintf("key-%d", k), Body: make([]byte, bodyBytes),
		Headers: map[string]string{headerNumber: fmt.Sprint(n)},
	}
	if (k*7+n)%poisonEvery == 0 {
		m.Headers[headerPoison] = "1"
	}
	return m
}

// insist publishes messages until all are confirmed, again and again those that are not.
func (t task) insist(ctx context.Context, b *broker.Broker, confirmed *ledger, call []broker.Message) error {
	for {
		err := b.Publish(ctx, call...)
		var (
			failed *broker.PublishError
			rest   []broker.Message
			lines  []byte
			again  = map[int]bool{}
		)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &failed):
			return err
		default:
			for _, f := range failed.Failed {
				if !errors.Is(f.Err, broker.ErrUnavailable) && !errors.Is(f.Err, broker.ErrFull) {
					return err
				}
				again[f.Index] = true
			}
		}
		for i, m := range call {
			if again[i] {
				rest = append(rest, m)
				continue
			}
			n, poisoned, err := identify(m)
			if err != nil {
				return err
			}
			lines = appendLine(lines, m.Key, n, poisoned)
		}
		if _, err := confirmed.file.Write(lines); err != nil {
			return err
		}
		if call = rest; len(call) == 0 {
			return nil
		}
		wait(ctx, 20*time.Millisecond)
	}
}

// wait waits; false when ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
