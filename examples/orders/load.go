package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lexigram.dev/events/event"
)

// loadSettings say how to load a shop.
type loadSettings struct {
	url             string
	orders, clients int
}

// loader is one run of the load.
type loader struct {
	loadSettings
	client *http.Client
	run    string // makes the orders' ids of this run

	next     atomic.Int64
	last     atomic.Int64 // the greatest position that was answered
	revenue  atomic.Int64 // cents that were paid less those that are due back
	commands atomic.Int64
}

// run places so many orders and takes each to its end, then checks what the shop's read models say against what it did.
func (o loadSettings) run(ctx context.Context, out io.Writer) error {
	l := &loader{loadSettings: o, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: o.clients}}, run: event.NewID().String()}
	before, err := l.earned(ctx)
	if err != nil {
		return fmt.Errorf("is the shop open at %s? %w", o.url, err)
	}
	start := time.Now()
	var (
		clients sync.WaitGroup
		faults  = make([]error, o.clients)
	)
	for i := range o.clients {
		clients.Go(func() { faults[i] = l.work(ctx) })
	}
	clients.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Fprintf(out, "%d orders, %d commands in %v: %.0f commands/s\n", o.orders, l.commands.Load(), took.Round(time.Millisecond), float64(l.commands.Load())/took.Seconds())
	after, err := l.earned(ctx)
	if err != nil {
		return err
	}
	if got, want := after-before, l.revenue.Load(); got != want {
		return fmt.Errorf("the revenue has grown by %d cents, but %d were paid: does somebody else use the shop?", got, want)
	}
	fmt.Fprintf(out, "revenue: grown by %d cents, exactly what was paid less what is due back\n", l.revenue.Load())
	return nil
}

func (l *loader) work(ctx context.Context) error {
	for {
		n := l.next.Add(1)
		if n > int64(l.orders) || ctx.Err() != nil {
			return ctx.Err()
		}
		if err := l.order(ctx, n); err != nil {
			return fmt.Errorf("order %d: %w", n, err)
		}
	}
}

// order takes one order to its end: most are shipped, some cancelled before or after they were paid.
func (l *loader) order(ctx context.Context, n int64) error {
	id := fmt.Sprintf("%s-%d", l.run, n)
	cents := 500 + n*37%20_000
	if err := l.post(ctx, "/orders", PlaceOrder{
		ID: id, Customer: fmt.Sprintf("customer %d", n%97), Product: []string{"teapot", "cup", "kettle", "tray"}[n%4], Quantity: 1 + int(n%3), Cents: cents,
	}); err != nil {
		return err
	}
	path := "/orders/" + id
	if n%10 == 0 {
		return l.post(ctx, path+"/cancel", CancelOrder{Reason: "changed my mind"})
	}
	if err := l.post(ctx, path+"/pay", PayOrder{Cents: cents}); err != nil {
		return err
	}
	if n%10 == 5 {
		return l.post(ctx, path+"/cancel", CancelOrder{Reason: "too slow"})
	}
	l.revenue.Add(cents)
	return l.post(ctx, path+"/ship", ShipOrder{Tracking: fmt.Sprintf("T-%d", n)})
}

func (l *loader) post(ctx context.Context, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var done Done
	if err := l.call(ctx, http.MethodPost, path, data, &done); err != nil {
		return err
	}
	l.commands.Add(1)
	for {
		last := l.last.Load()
		if int64(done.Position) <= last || l.last.CompareAndSwap(last, int64(done.Position)) {
			return nil
		}
	}
}

// earned gives the revenue of all days, with all that this run has done.
func (l *loader) earned(ctx context.Context) (int64, error) {
	var days []dated
	if err := l.call(ctx, http.MethodGet, fmt.Sprintf("/revenue?after=%d", l.last.Load()), nil, &days); err != nil {
		return 0, err
	}
	total := int64(0)
	for _, d := range days {
		total += d.RevenueCents - d.RefundedCents
	}
	return total, nil
}

func (l *loader) call(ctx context.Context, method, path string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, l.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := l.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, bytes.TrimSpace(text))
	}
	return json.Unmarshal(text, into)
}
