package membroker

import (
	"context"
	"fmt"

	"lexigram.dev/events/broker"
)

// Driver lets programs name the broker within the process by URL: "memory:", with nothing behind it.
func Driver() broker.Driver {
	return broker.Driver{
		Name: "memory", Schemes: []string{"memory"}, Example: "memory:",
		Open: func(_ context.Context, url string) (broker.Backend, error) {
			if url != "memory:" {
				return nil, fmt.Errorf("%w: broker URL: memory: takes nothing behind the colon", broker.ErrInvalid)
			}
			return New(Options{}), nil
		},
	}
}
