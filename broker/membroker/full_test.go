package membroker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/membroker"
)

func group(name string) broker.Group { return broker.Group{Name: name, Topics: []string{"t"}} }

func message(n, size int) broker.Message {
	return broker.Message{ID: fmt.Sprint(n), Topic: "t", Body: make([]byte, size)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPublisherWaitsForRoomAndInTheEndIsTold(t *testing.T) {
	for name, o := range map[string]membroker.Options{
		"messages": {MaxMessages: 3},
		"bytes":    {MaxBytes: 35},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := broker.New(membroker.New(o), broker.Options{})
				defer func() { must(t, b.Close()) }()
				must(t, b.Declare(t.Context(), group("slow")))
				must(t, b.Publish(t.Context(), message(1, 10), message(2, 10), message(3, 10)))
				begun := time.Now()
				err := b.Publish(t.Context(), message(4, 10), message(5, 10))
				var failed *broker.PublishError
				if !errors.Is(err, broker.ErrFull) || !errors.As(err, &failed) || len(failed.Failed) != 2 || time.Since(begun) != 10*time.Second {
					t.Errorf("got %v after %v, want ErrFull for both after 10 s", err, time.Since(begun))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := b.Publish(ctx, message(6, 10)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want the context's error", err)
				}
				done := make(chan error, 1)
				go func() { done <- b.Publish(t.Context(), message(7, 10)) }()
				synctest.Wait()
				stream, err := b.Backend().Consume(t.Context(), group("slow"), 10)
				must(t, err)
				received, err := stream.Receive(t.Context(), 1)
				must(t, err)
				must(t, stream.Ack(t.Context(), received))
				must(t, <-done)
				must(t, stream.Close())
				if left, err := b.Backlog(t.Context(), group("slow")); err != nil || left.Messages != 3 {
					t.Errorf("backlog %+v (%v)", left, err)
				}
			})
		})
	}
}

func TestASingleMessageAlwaysHasRoom(t *testing.T) {
	b := broker.New(membroker.New(membroker.Options{MaxBytes: 10}), broker.Options{})
	must(t, b.Declare(t.Context(), group("g")))
	must(t, b.Publish(t.Context(), message(1, 1000)))
}

func TestNothingIsKeptForNobody(t *testing.T) {
	b := broker.New(membroker.New(membroker.Options{MaxMessages: 1}), broker.Options{})
	for i := range 100 {
		must(t, b.Publish(t.Context(), message(i, 10)))
	}
}

func TestClosingEndsAWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := broker.New(membroker.New(membroker.Options{MaxMessages: 1}), broker.Options{})
		must(t, b.Declare(t.Context(), group("g")))
		must(t, b.Publish(t.Context(), message(1, 1)))
		done := make(chan error, 1)
		go func() { done <- b.Publish(t.Context(), message(2, 1)) }()
		synctest.Wait()
		must(t, b.Close())
		if err := <-done; !errors.Is(err, broker.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestTheNewestMessagesAreRetainedForNewGroups(t *testing.T) {
	b := broker.New(membroker.New(membroker.Options{Retain: 2}), broker.Options{})
	for i := range 5 {
		must(t, b.Publish(t.Context(), message(i, 1)))
	}
	g := group("g")
	g.FromStart = true
	stream, err := b.Backend().Consume(t.Context(), g, 10)
	must(t, err)
	received, err := stream.Receive(t.Context(), 10)
	must(t, err)
	if len(received) != 2 || received[0].Message.ID != "3" || received[1].Message.ID != "4" {
		t.Errorf("got %+v", received)
	}
}
