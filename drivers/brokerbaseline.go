package drivers

import (
	"context"

	"lexigram.dev/events/admin"
)

// OpenBrokerBaseline gives what the broker that the URL names is measured against: the bare client with topics of its own.
// The memory broker has none, and gets nil. The caller closes it.
func OpenBrokerBaseline(_ context.Context, _ string) (admin.BrokerBaseline, error) {
	return nil, nil
}
