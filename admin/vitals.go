package admin

import (
	"context"
	"errors"
	"time"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/outbox"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/saga"
	"lexigram.dev/events/subscription"
)

// Vitals are the numbers by which one sees how what lives on a store is doing.
type Vitals struct {
	Head        event.Position
	Feeds       []Feed         // subscriptions, projections and the outbox's relays
	DeadLetters map[string]int // by source; up to 10,000 altogether
	Sagas       []SagaCount
}

// Feed is something that follows the log.
type Feed struct {
	Kind    string        // "subscription", "projection", "outbox"
	Name    string        // of its kind
	State   string        // such as "live", "faulted"
	Lag     int64         // positions up to the head that it has not handled
	LagTime time.Duration // age of the oldest of those
	Error   string
}

// SagaCount counts instances that have not ended well, up to 10,000 of a status.
type SagaCount struct {
	Saga   string
	Status saga.Status
	Count  int
}

// maxCounted bounds the work of counting.
const maxCounted = 10_000

// Vitals asks the store for all of them.
func (a *Admin) Vitals(ctx context.Context) (v Vitals, err error) {
	if v.Head, err = a.store.Head(ctx); err != nil {
		return v, err
	}
	feeds, errFeeds := a.feedVitals(ctx)
	letters, errLetters := a.letterVitals(ctx)
	sagas, errSagas := a.sagaVitals(ctx)
	v.Feeds, v.DeadLetters, v.Sagas = feeds, letters, sagas
	return v, errors.Join(errFeeds, errLetters, errSagas)
}

func (a *Admin) feedVitals(ctx context.Context) ([]Feed, error) {
	var feeds []Feed
	for s, err := range a.Subscriptions().List(ctx) {
		if err != nil {
			return feeds, err
		}
		if projection.OfSubscription(s.Name) {
			continue // its projection tells of it
		}
		kind, name := "subscription", s.Name
		if relay, ok := outbox.RelayOf(s.Name); ok {
			kind, name = "outbox", relay
		}
		feeds = append(feeds, Feed{Kind: kind, Name: name, State: string(s.State), Lag: s.Lag, LagTime: s.LagTime, Error: s.Error})
	}
	for p, err := range a.Projections().List(ctx) {
		if err != nil {
			return feeds, err
		}
		feeds = append(feeds, Feed{Kind: "projection", Name: p.Name, State: string(p.State), Lag: p.Lag, LagTime: p.LagTime, Error: p.Error})
	}
	return feeds, nil
}

func (a *Admin) letterVitals(ctx context.Context) (map[string]int, error) {
	bySource := map[string]int{}
	for letter, err := range a.DeadLetters().List(ctx, deadletter.Filter{Limit: maxCounted}) {
		if err != nil {
			return bySource, err
		}
		bySource[letter.Source]++
	}
	return bySource, nil
}

func (a *Admin) sagaVitals(ctx context.Context) ([]SagaCount, error) {
	var counts []SagaCount
	for _, status := range []saga.Status{
		saga.StatusRunning, saga.StatusWaiting, saga.StatusCompensating, saga.StatusSuspended, saga.StatusParked, saga.StatusFailed, saga.StatusCompensationFailed,
	} {
		at := map[string]int{} // by saga: where its count is
		for instance, err := range a.Sagas().List(ctx, saga.Filter{Status: status, Limit: maxCounted}) {
			if err != nil {
				return counts, err
			}
			i, known := at[instance.Saga]
			if !known {
				i = len(counts)
				at[instance.Saga] = i
				counts = append(counts, SagaCount{Saga: instance.Saga, Status: status})
			}
			counts[i].Count++
		}
	}
	return counts, nil
}

// stands reports whether a feed does not go on by itself.
func (f Feed) stands() bool {
	return f.State == string(subscription.StateFaulted) || f.State == string(projection.StateFaulted)
}
