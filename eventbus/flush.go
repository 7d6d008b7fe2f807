package eventbus

import (
	"context"
	"fmt"
	"time"
)

// flushPoll is how often Flush looks.
const flushPoll = 5 * time.Millisecond

// Flush waits until everything that was published to the topics before the call, by this process or another, is done with
// by the handlers of this bus, in whichever process they run: handled, or a dead letter. It needs a broker that can count
// a group's backlog (broker.Gauge), else it gives broker.ErrUnsupported; where that does not know the age of the backlog,
// Flush waits until nothing is left. It is for tests, and for the end of batch jobs; somebody must Run the bus meanwhile.
func (b *Bus) Flush(ctx context.Context) error {
	if err := b.Declare(ctx); err != nil {
		return fmt.Errorf("flush event bus %s: %w", b.group, err)
	}
	begun := b.o.Now()
	tick := time.NewTicker(flushPoll)
	defer tick.Stop()
	for _, g := range b.groups() {
		for {
			backlog, err := b.broker.Backlog(ctx, g)
			if err != nil {
				return fmt.Errorf("flush event bus %s: %w", b.group, err)
			}
			if backlog.Messages == 0 || backlog.Oldest.After(begun) {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("flush event bus %s: group %s has %d messages left: %w", b.group, g.Name, backlog.Messages, ctx.Err())
			}
		}
	}
	return nil
}
