package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lexigram.dev/events/command"
	"lexigram.dev/events/event"
	"lexigram.dev/events/examples/orders/fulfilment"
	"lexigram.dev/events/saga"
)

// mood is how a supplier takes a request.
type mood int

const (
	fine     mood = iota
	away          // nothing is done; asking again may help
	declines      // nothing is done, and never will be
	late          // it is done, but the answer comes when nobody waits any more
)

// moods say how a supplier takes the requests for a product, by attempt; the last one goes on.
type moods map[string][]mood

// kinds of suppliers: by supplier, what is not fine.
func kinds() map[string]map[string]moods {
	return map[string]map[string]moods{
		"steady": {},
		"failing": {
			"carrier":  {"teapot": {away, fine}, "kettle": {away}},
			"payments": {"cup": {declines}},
		},
		"slow": {
			"carrier":  {"teapot": {late, fine}},
			"payments": {"cup": {late}},
		},
	}
}

func kindNames() string { return strings.Join(slices.Sorted(maps.Keys(kinds())), ", ") }

// newSuppliers gives suppliers of a kind; the books are the shop's own.
func newSuppliers(kind string, bus *command.Bus) fulfilment.Suppliers {
	one := func(name, reference string) fulfilment.Supplier {
		return &supplier{name: name, reference: reference, moods: kinds()[kind][name], done: map[event.ID]string{}, undone: map[event.ID]bool{}}
	}
	return fulfilment.Suppliers{
		Warehouse: one("warehouse", "R"), Payments: one("payments", "P"), Carrier: one("carrier", "T"), Mail: one("mail", "M"), Books: books{bus},
	}
}

// supplier stands for a partner's service, which knows requests by their keys.
type supplier struct {
	name, reference string
	moods           moods

	mu     sync.Mutex
	done   map[event.ID]string // references by key
	undone map[event.ID]bool
}

const working = 20 * time.Millisecond

// Do implements fulfilment.Supplier.
func (s *supplier) Do(ctx context.Context, o fulfilment.Order, key event.ID) (string, error) {
	pause(ctx, working)
	info, _ := saga.InfoFrom(ctx)
	is := fine
	if all := s.moods[o.Product]; len(all) > 0 {
		is = all[min(info.Attempt, len(all))-1]
	}
	switch is {
	case away:
		return "", fmt.Errorf("the %s is away", s.name)
	case declines:
		return "", saga.Permanent(fmt.Errorf("%s: declined", s.name))
	}
	reference, err := s.do(o, key)
	if is == late {
		<-ctx.Done()
	}
	return reference, err
}

func (s *supplier) do(o fulfilment.Order, key event.ID) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.undone[key] {
		return "", saga.Permanent(errors.New("this was taken back already"))
	}
	if s.done[key] == "" {
		s.done[key] = s.reference + "-" + o.ID
	}
	return s.done[key], nil
}

// Undo implements fulfilment.Supplier.
func (s *supplier) Undo(ctx context.Context, _ fulfilment.Order, done, _ event.ID) error {
	pause(ctx, working)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.undone[done] = true
	return nil
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// books is the shop itself as the last supplier: it enters into the order that it was fulfilled.
type books struct{ bus *command.Bus }

// Do implements fulfilment.Supplier. That an order which was entered already is not entered twice is the order's business.
func (b books) Do(ctx context.Context, o fulfilment.Order, _ event.ID) (string, error) {
	return b.enter(ctx, FulfilOrder{ID: o.ID, Tracking: o.Tracking})
}

// Undo implements fulfilment.Supplier. A cancelled order can not be fulfilled any more.
func (b books) Undo(ctx context.Context, o fulfilment.Order, _, _ event.ID) error {
	_, err := b.enter(ctx, RecallOrder{ID: o.ID, Reason: "it could not be fulfilled"})
	return err
}

func (b books) enter(ctx context.Context, c any) (string, error) {
	_, err := b.bus.Dispatch(ctx, c)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return "", saga.Permanent(err) // it was cancelled meanwhile
	}
	if err != nil {
		return "", saga.Unknown(err)
	}
	return "entered", nil
}
