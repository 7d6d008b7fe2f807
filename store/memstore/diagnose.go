package memstore

import (
	"context"

	"lexigram.dev/events/checkup"
)

// Diagnose implements store.Diagnoser.
func (b *Backend) Diagnose(ctx context.Context) ([]checkup.Finding, error) {
	d, err := b.Describe(ctx)
	if err != nil {
		return nil, err
	}
	return []checkup.Finding{
		checkup.Good("version", "%s", d.Version),
		{Check: "durability", Level: checkup.Warn, Found: d.Durability, Cure: "use it for tests alone; sqlite:events.db keeps events without a server"},
	}, nil
}
