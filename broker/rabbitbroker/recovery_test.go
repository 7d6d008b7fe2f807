package rabbitbroker_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/broker/rabbitbroker"
)

func TestWhatIsDeliveredTooOftenIsKeptByTheServer(t *testing.T) {
	v := newVhost(t)
	o := rabbitbroker.Options{DeliveryLimit: 2}
	b := v.open(t, o)
	must(t, b.Declare(t.Context(), group))
	keyless := message(2)
	keyless.Key = ""
	if errs := b.Publish(t.Context(), []broker.Message{message(1), keyless}); errs != nil {
		t.Fatal(errs)
	}
	for want := 1; want <= 3; want++ {
		victim, proxy := v.openThroughProxy(t, o)
		for _, r := range receive(t, consume(t, victim, group, 10), 2) {
			if r.Deliveries != want {
				t.Errorf("delivery %d says it is number %d", want, r.Deliveries)
			}
		}
		proxy.Close()
	}
	ch := v.channel(t)
	for range 2 {
		eventually(t, "a message among the dead letters", func() bool {
			d, ok, err := ch.Get("lexigram.events:mailer:@dlq", true)
			must(t, err)
			return ok && (d.MessageId == "m1" || d.MessageId == "m2")
		})
	}
}

func TestAPausedMessageGoesOnCounting(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{})
	stream := consume(t, b, group, 10)
	if errs := b.Publish(t.Context(), []broker.Message{message(1)}); errs != nil {
		t.Fatal(errs)
	}
	first := receive(t, stream, 1)
	must(t, stream.Close())
	stream = consume(t, b, group, 10)
	for want := 2; want <= 4; want++ {
		got := receive(t, stream, 1)
		if got[0].Deliveries != want || got[0].Message.Topic != "orders" || got[0].Message.Key != first[0].Message.Key {
			t.Errorf("got %+v, want delivery %d", got[0], want)
		}
		must(t, stream.Release(t.Context(), got, time.Millisecond))
	}
}

func TestAConsumerGoesOnAfterItsQueuesWereRemoved(t *testing.T) {
	v := newVhost(t)
	b := broker.New(v.open(t, rabbitbroker.Options{Partitions: 2}), broker.Options{})
	must(t, b.Declare(t.Context(), group))
	handled := make(chan string, 100)
	stop := run(t, b, func(_ context.Context, d broker.Delivery) error { handled <- d.ID; return nil })
	defer stop()
	must(t, b.Publish(t.Context(), message(1)))
	if id := <-handled; id != "m1" {
		t.Errorf("got %s", id)
	}
	ch := v.channel(t)
	for _, queue := range []string{"lexigram.events:mailer:orders", "lexigram.events:mailer:orders:@0", "lexigram.events:mailer:orders:@1"} {
		_, err := ch.QueueDelete(queue, false, false, false)
		must(t, err)
	}
	n := 1
	eventually(t, "a message over queues that were made again", func() bool {
		n++
		must(t, b.Publish(t.Context(), message(n)))
		select {
		case id := <-handled:
			return id == fmt.Sprint("m", n)
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
}

// run runs a consumer of the group until it is stopped.
func run(t *testing.T, b *broker.Broker, h broker.Handler) (stop func()) {
	t.Helper()
	c, err := broker.NewConsumer(b, group, h, broker.ConsumerOptions{
		DeadLetter: func(_ context.Context, d broker.Delivery, cause error) error {
			t.Errorf("message %s became a dead letter: %v", d.ID, cause)
			return nil
		},
		OnError: func(error) {},
		Retry:   broker.Retry{Initial: 10 * time.Millisecond, Max: time.Second},
		Grace:   time.Minute,
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the consumer gave %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func TestAGroupThatStopsAndStartsAgainWithinAStreamGoesOn(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{Partitions: 2})
	must(t, b.Declare(t.Context(), group))
	publishMany(t, b, 100)
	stream := consume(t, b, group, 400)
	next := map[string]int{}
	got := receive(t, stream, 60)
	must(t, stream.Release(t.Context(), got, 0)) // all of it, so that the queues are left
	all := receive(t, stream, 100)               // and joined again
	checkOrder(t, all, next)
	must(t, stream.Ack(t.Context(), all))
}

func TestAnAnswerForWhatIsNotHeldIsRefused(t *testing.T) {
	v := newVhost(t)
	b := v.open(t, rabbitbroker.Options{})
	stream := consume(t, b, group, 10)
	if errs := b.Publish(t.Context(), []broker.Message{message(1)}); errs != nil {
		t.Fatal(errs)
	}
	got := receive(t, stream, 1)
	must(t, stream.Ack(t.Context(), got))
	for name, err := range map[string]error{
		"acknowledge twice": stream.Ack(t.Context(), got),
		"give back":         stream.Release(t.Context(), got, 0),
		"another's":         stream.Ack(t.Context(), []broker.Received{{Token: "x"}}),
	} {
		if !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestCallsWaitForAServerThatComesBack(t *testing.T) {
	v := newVhost(t)
	b, proxy := v.openThroughProxy(t, rabbitbroker.Options{})
	must(t, b.Declare(t.Context(), group))
	proxy.Refuse(true)
	proxy.Cut()
	failures := make(chan int, 1)
	go func() {
		n := 0
		for b.Publish(t.Context(), []broker.Message{message(1)}) != nil {
			n++
		}
		failures <- n
	}()
	eventually(t, "several tries", func() bool { return proxy.Refused() >= 3 })
	proxy.Refuse(false)
	if n := <-failures; n > 1 { // the cut itself may have hit one
		t.Errorf("%d calls failed", n)
	}
	impatient, proxy := v.openThroughProxy(t, rabbitbroker.Options{ReconnectFor: -1})
	proxy.Refuse(true)
	proxy.Cut()
	before := proxy.Refused()
	if err := impatient.Declare(t.Context(), group); !errors.Is(err, broker.ErrUnavailable) || proxy.Refused() > before+1 {
		t.Errorf("got %v after %d tries, want ErrUnavailable after one", err, proxy.Refused()-before)
	}
}

func TestNoGoroutineStaysBehind(t *testing.T) {
	v := newVhost(t)
	work := func() {
		b, proxy := v.openThroughProxy(t, rabbitbroker.Options{Mandatory: true, Rebalance: 10 * time.Millisecond})
		must(t, b.Declare(t.Context(), group))
		stop := run(t, broker.New(b, broker.Options{}), func(context.Context, broker.Delivery) error { return nil })
		publishMany(t, b, 100)
		proxy.Cut()
		eventually(t, "publishing after the cut", func() bool { return b.Publish(t.Context(), []broker.Message{message(1)}) == nil })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b.Publish(ctx, []broker.Message{message(2)})
		stop()
		must(t, b.Close())
		proxy.Close()
	}
	work() // whatever is made once
	before := runtime.NumGoroutine()
	for range 5 {
		work()
	}
	eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// The bare client and another vendor's settings in the URL work together.
func TestTheURLCarriesTheClientsSettings(t *testing.T) {
	v := newVhost(t)
	u, err := url.Parse(v.url(""))
	must(t, err)
	u.RawQuery = "exchange=shop.events&partitions=2&mandatory=true&heartbeat=7&channel_max=300"
	backend, err := broker.OpenURL(t.Context(), u.String(), []broker.Driver{rabbitbroker.Driver()})
	must(t, err)
	defer backend.Close()
	if errs := backend.Publish(t.Context(), []broker.Message{message(1)}); errs == nil || !errors.Is(errs[0], broker.ErrRefused) {
		t.Errorf("got %v: mandatory has no effect", errs)
	}
	err = v.channel(t).ExchangeDeclarePassive("shop.events:@unrouted:2", amqp.ExchangeFanout, true, false, false, false, nil)
	must(t, err)
}
