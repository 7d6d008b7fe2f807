package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/observe"
)

// run is one Run of a Consumer: a receiver (the caller's goroutine), workers, and one goroutine that acknowledges.
type run struct {
	*Consumer
	intake *intake
}

func newRun(c *Consumer) *run { return &run{Consumer: c, intake: newIntake(c.o.Prefetch)} }

func (r *run) run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var workers, acker sync.WaitGroup
	for range r.o.Concurrency {
		workers.Go(func() { r.work(work) })
	}
	acker.Go(func() { r.acknowledge(work) })

	last, err := r.receive(ctx)

	grace := time.AfterFunc(r.o.Grace, cancel)
	r.giveBack(work, r.intake.stop())
	workers.Wait()
	grace.Stop()
	r.intake.end()
	acker.Wait()
	if last != nil {
		r.close(last)
	}
	if err != nil {
		return fmt.Errorf("consume as group %s: %w", r.group.Name, err)
	}
	return nil
}

// work handles items until the run stops.
func (r *run) work(ctx context.Context) {
	h := r.intake.newHand()
	for it := h.next(); it != nil; it = h.next() {
		h.finish(r.watched(ctx, it))
	}
}

type outcome uint8

const (
	handled  outcome = iota // to be acknowledged
	tryLater                // stays at the head of its lane
	dropped                 // no longer ours: it is delivered again
)

// watched is try, with the hooks told.
func (r *run) watched(ctx context.Context, it *item) (outcome, time.Duration) {
	if !r.broker.hooks.WatchesDeliveries() {
		return r.try(ctx, it)
	}
	begun, attempt, unkept := time.Now(), it.delivery(r.o.Redelivery).Attempt, it.unkept
	it.failure = nil
	outcome, pause := r.try(ctx, it)
	d := observe.Delivery{
		Group: r.group.Name, Topic: it.Message.Topic, Attempt: attempt, Deliveries: it.Deliveries, Took: time.Since(begun), Err: it.failure,
	}
	switch {
	case outcome == handled && it.cause != nil:
		d.Outcome, d.Err = observe.DeadLetter, it.cause
	case outcome == handled:
		d.Outcome = observe.Handled
	case it.unkept > unkept:
		d.Outcome = observe.Unkept
	case it.failure != nil:
		d.Outcome = observe.Failed
	default:
		d.Outcome = observe.Dropped
	}
	r.broker.hooks.Delivery(ctx, d)
	return outcome, pause
}

// try makes one attempt at an item: to handle it or, when it has failed for good, to keep it as a dead letter.
func (r *run) try(ctx context.Context, it *item) (outcome, time.Duration) {
	if it.session.lost() || it.Owned != nil && !it.Owned(it.Token) {
		return dropped, 0
	}
	if it.cause == nil && it.Deliveries > r.o.MaxDeliveries {
		it.cause = fmt.Errorf("%w: %d times without an answer; it may end its consumers", ErrDeliveries, it.Deliveries-1)
	}
	if it.cause == nil {
		err := r.call(ctx, "handler", func(ctx context.Context) error { return r.handler(ctx, it.delivery(r.o.Redelivery)) })
		switch {
		case err == nil:
			return handled, 0
		case ctx.Err() != nil: // the grace is over: that is no failure of the message
			return dropped, 0
		}
		attempt := it.delivery(r.o.Redelivery).Attempt
		r.report(it, fmt.Sprintf("attempt %d of %d", attempt, r.o.Retry.Attempts), err)
		if attempt < r.o.Retry.Attempts && !IsPermanent(err) {
			return r.again(ctx, it, r.o.Retry.Pause(attempt))
		}
		it.cause = err
	}
	err := r.call(ctx, "dead-letter function", func(ctx context.Context) error {
		return r.o.DeadLetter(ctx, it.delivery(r.o.Redelivery), it.cause)
	})
	switch {
	case err == nil:
		return handled, 0
	case ctx.Err() != nil:
		return dropped, 0
	}
	it.unkept++
	r.report(it, "keep it as a dead letter", err)
	return tryLater, r.o.Retry.Pause(it.unkept)
}

// again arranges the next attempt at an item.
func (r *run) again(ctx context.Context, it *item, pause time.Duration) (outcome, time.Duration) {
	if r.o.Redelivery == InPlace {
		it.attempt++
		return tryLater, pause
	}
	err := r.answer(ctx, func(ctx context.Context) error {
		return it.session.stream.Release(ctx, []Received{*it.Received}, pause)
	})
	if err != nil {
		it.session.lose()
		r.report(it, "give it back", err)
	}
	return dropped, 0
}

// call runs the caller's code with the timeout, and turns a panic into an error.
func (r *run) call(ctx context.Context, what string, f func(ctx context.Context) error) (err error) {
	inner := ctx
	if r.o.Timeout > 0 {
		a := newAttempt(ctx, r.o.Timeout)
		defer a.end()
		inner = a
	}
	defer func() {
		if value := recover(); value != nil {
			err = panics.New(what, value)
		}
		if err != nil && errors.Is(context.Cause(inner), ErrTimeout) {
			err = fmt.Errorf("%w after %v: %w", ErrTimeout, r.o.Timeout, err)
		}
	}()
	return f(inner)
}

func (r *run) report(it *item, doing string, err error) {
	it.failure = err
	r.o.OnError(fmt.Errorf("group %s: message %s of topic %s: %s: %w", r.group.Name, it.Message.ID, it.Message.Topic, doing, err))
}

// acknowledge tells the broker what was handled, in batches of what has gathered meanwhile.
func (r *run) acknowledge(ctx context.Context) {
	var items, used []*item
	var messages []Received
	for {
		if items = r.intake.handled(used); len(items) == 0 {
			return
		}
		for rest := items; len(rest) > 0; {
			s := rest[0].session
			messages = messages[:0]
			others := rest[:0]
			for _, it := range rest {
				if it.session == s {
					messages = append(messages, *it.Received)
				} else {
					others = append(others, it)
				}
			}
			rest = others
			r.ack(ctx, s, messages)
			clear(messages)
		}
		r.intake.free(len(items))
		used = items
	}
}

func (r *run) ack(ctx context.Context, s *session, messages []Received) {
	if s.lost() {
		return // they are delivered again
	}
	if err := r.answer(ctx, func(ctx context.Context) error { return s.stream.Ack(ctx, messages) }); err != nil {
		s.lose()
		r.o.OnError(fmt.Errorf("group %s: acknowledge %d messages: %w", r.group.Name, len(messages), err))
	}
}

// answerTimeout bounds each answer to the broker. One that takes longer counts as lost, and so does its session.
const answerTimeout = 30 * time.Second

// answer sends an answer to the broker, also when the grace is over.
func (r *run) answer(ctx context.Context, send func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	return send(ctx)
}

// giveBack releases what nobody has begun with, so that other members need not wait for the end of this one.
func (r *run) giveBack(ctx context.Context, items []*item) {
	bySession := map[*session][]Received{}
	for _, it := range items {
		bySession[it.session] = append(bySession[it.session], *it.Received)
	}
	for s, messages := range bySession {
		if s.lost() {
			continue
		}
		if err := r.answer(ctx, func(ctx context.Context) error { return s.stream.Release(ctx, messages, 0) }); err != nil {
			s.lose()
			r.o.OnError(fmt.Errorf("group %s: give back %d messages: %w", r.group.Name, len(messages), err))
		}
	}
}
