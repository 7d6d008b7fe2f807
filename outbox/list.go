package outbox

import (
	"context"
	"iter"
	"strings"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// namePrefix begins the names of relays' subscriptions; their sources of dead letters begin with sourcePrefix.
const (
	namePrefix   = "outbox-"
	sourcePrefix = "outbox/"
)

// Report is a report on a relay of the log over all processes, as the store knows it. An outage of the broker shows there as
// a backlog that grows.
type Report struct {
	Name        string              `json:"name"`
	Feed        subscription.Status `json:"feed"` // its lag is the backlog
	DeadLetters int                 `json:"dead_letters"`
}

// RelayOf gives the relay that a subscription of this name belongs to; ok is false where it is not a relay's.
func RelayOf(subscription string) (relay string, ok bool) {
	return strings.CutPrefix(subscription, namePrefix)
}

// List reports on each relay of the log that has ever run on the store, by name.
func List(ctx context.Context, s *store.Store) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		letters := deadletter.New(s, deadletter.Options{})
		for status, err := range subscription.NewControl(s).List(ctx) {
			if err != nil {
				yield(Report{}, err)
				return
			}
			name, ours := RelayOf(status.Name)
			if !ours {
				continue
			}
			r := Report{Name: name, Feed: status}
			r.DeadLetters, err = letters.Count(ctx, deadletter.Filter{Source: sourcePrefix + name})
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}
