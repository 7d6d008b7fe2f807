package membroker

import (
	"context"

	"lexigram.dev/events/checkup"
)

// Diagnose implements broker.Diagnoser.
func (b *Broker) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	d, err := b.Describe(ctx)
	if err != nil {
		return nil, err
	}
	return []checkup.Finding{
		checkup.Good("version", "%s", d.Version),
		{Check: "durability", Level: checkup.Warn, Found: d.Durability, Cure: "use it within one process, where the log or an outbox holds what it may lose"},
	}, nil
}
