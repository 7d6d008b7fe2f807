package saga

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"lexigram.dev/events/store"
	"lexigram.dev/events/subscription"
)

// service runs all versions of one saga in this process. It is the processor of the subscription to their streams, which
// keeps the index and says, by its leases, which instances belong to this process.
type service struct {
	*Set
	name     string
	versions map[int]Definer
	feed     *subscription.Subscription
	router   *subscription.Subscription // of a process manager: brings events of others to it

	mu    sync.Mutex
	lanes map[int]*lane // by partition, those that are owned
}

func newService(set *Set, name string, versions map[int]Definer) (*service, error) {
	s := &service{Set: set, name: name, versions: versions, lanes: map[int]*lane{}}
	o := subscription.Options{
		Filter:     store.Filter{Categories: []string{category(name)}},
		Partitions: set.o.Partitions, Lease: set.o.Lease, PollInterval: set.o.PollInterval, Grace: set.o.Grace,
		Owner: set.o.Owner, OnError: set.o.OnError, Hooks: set.o.Hooks, Now: set.o.Now,
	}
	var err error
	if s.feed, err = subscription.New(set.log, feedName(name), s, o); err != nil {
		return nil, err
	}
	if s.newest().style() == styleManager {
		s.router, err = s.newRouter(o)
	}
	return s, err
}

// feedName is the name of the subscription to a saga's own streams.
func feedName(saga string) string { return "saga " + saga }

func (s *service) partitionOf(id string) int {
	return subscription.PartitionOf(streamOf(s.name, id), s.o.Partitions)
}

func (s *service) missing(version int) string {
	return fmt.Sprintf("this process has no version %d of saga %s; it has %v", version, s.name, slices.Sorted(maps.Keys(s.versions)))
}

// newest is the definition with which new instances begin.
func (s *service) newest() Definer {
	return s.versions[slices.Max(slices.Collect(maps.Keys(s.versions)))]
}

// roomAgain lets the lanes that had to leave something look for it.
func (s *Set) roomAgain() {
	for _, service := range s.services {
		service.mu.Lock()
		for _, l := range service.lanes {
			l.mu.Lock()
			if l.behind {
				l.wakeUp()
			}
			l.mu.Unlock()
		}
		service.mu.Unlock()
	}
}
