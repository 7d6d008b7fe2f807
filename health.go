package events

import (
	"context"

	"lexigram.dev/events/broker"
	"lexigram.dev/events/internal/panics"
	"lexigram.dev/events/store"
)

// Status says how a part fares.
type Status string

// The statuses. Idle and stopped are no failures.
const (
	StatusIdle    Status = "idle"    // Run was not called yet
	StatusRunning Status = "running" // and well
	StatusStopped Status = "stopped" // it has returned, as it should
	StatusFailed  Status = "failed"  // it has returned an error, or says that it does not work
)

// Health is a report on the whole engine.
type Health struct {
	OK     bool         `json:"ok"` // nothing has failed
	Store  StoreHealth  `json:"store"`
	Broker BrokerHealth `json:"broker"`
	Parts  []PartHealth `json:"parts,omitempty"` // in the order in which they were added
}

// StoreHealth tells of the store. It was asked just now.
type StoreHealth struct {
	store.Description
	Error string `json:"error,omitempty"` // why it does not answer
}

// BrokerHealth tells of the broker. It was asked just now.
type BrokerHealth struct {
	broker.Description
	Error string `json:"error,omitempty"` // why it does not answer
}

// PartHealth tells of one part.
type PartHealth struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"`
}

// Health asks the store, the broker and all parts how they are. It takes as long as they do; bound it by the context.
func (e *Engine) Health(ctx context.Context) Health {
	h := Health{OK: true}
	description, err := e.store.Describe(ctx)
	h.Store.Description = description
	if err != nil {
		h.OK, h.Store.Error = false, err.Error()
	}
	h.Broker.Description, err = e.broker.Describe(ctx)
	if err != nil {
		h.OK, h.Broker.Error = false, err.Error()
	}
	for _, p := range e.snapshot() {
		if p.status == StatusRunning && p.Health != nil {
			if p.err = p.ask(ctx); p.err != nil {
				p.status = StatusFailed
			}
		}
		report := PartHealth{Name: p.Name, Status: p.status}
		if p.err != nil {
			report.Error = p.err.Error()
		}
		h.OK = h.OK && p.status != StatusFailed
		h.Parts = append(h.Parts, report)
	}
	return h
}

// snapshot copies the parts, so that they are asked without the lock.
func (e *Engine) snapshot() []part {
	e.mu.Lock()
	defer e.mu.Unlock()
	parts := make([]part, len(e.parts))
	for i, p := range e.parts {
		parts[i] = *p
	}
	return parts
}

func (p *part) ask(ctx context.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panics.New("health", value)
		}
	}()
	return p.Health(ctx)
}
