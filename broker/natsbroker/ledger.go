package natsbroker

import (
	"maps"
	"slices"
	"time"
)

// ledger is the record of a group and one of its topics: who its members are, and who holds which partition. It is changed
// by compare-and-set only, so a partition never has two holders in it.
type ledger struct {
	// Members counts the renewals of each. Clocks are not compared: who sees a count that does not change for the time of
	// a lease takes its member for dead.
	Members map[string]int64 `json:"members"`
	Held    map[int]string   `json:"held,omitempty"`

	// Adrift are partitions that were given up while messages of theirs may have been on their way to the former holder:
	// nobody takes them before the server has given up waiting for their answers. The value tells one time from another.
	Adrift map[int]string `json:"adrift,omitempty"`
}

// sameShape reports whether two ledgers differ in renewals alone.
func (l *ledger) sameShape(o *ledger) bool {
	if len(l.Members) != len(o.Members) || !maps.Equal(l.Held, o.Held) || !maps.Equal(l.Adrift, o.Adrift) {
		return false
	}
	for id := range l.Members {
		if _, there := o.Members[id]; !there {
			return false
		}
	}
	return true
}

// observer is what one member has seen of a ledger, by its own clock.
type observer struct {
	id    string
	lease time.Duration // a member is dead that shows no life for so long
	wait  time.Duration // a partition is adrift for so long

	members map[string]sighting
	adrift  map[int]sighting
}

// sighting is a value, and when it was first seen.
type sighting struct {
	count int64
	name  string
	since time.Time
}

func newObserver(id string, lease, wait time.Duration) *observer {
	return &observer{id: id, lease: lease, wait: wait, members: map[string]sighting{}, adrift: map[int]sighting{}}
}

// look notes what the ledger says, and removes from it what is over: members that are dead, what they held, and
// partitions that are adrift no longer.
func (o *observer) look(l *ledger, now time.Time) {
	for id, count := range l.Members {
		seen, known := o.members[id]
		switch {
		case !known || seen.count != count:
			o.members[id] = sighting{count: count, since: now}
		case id != o.id && now.Sub(seen.since) >= o.lease:
			delete(l.Members, id)
		}
	}
	maps.DeleteFunc(o.members, func(id string, _ sighting) bool { _, there := l.Members[id]; return !there })
	maps.DeleteFunc(l.Held, func(_ int, id string) bool { _, there := l.Members[id]; return !there })
	for p, name := range l.Adrift {
		seen, known := o.adrift[p]
		switch {
		case !known || seen.name != name:
			o.adrift[p] = sighting{name: name, since: now}
		case now.Sub(seen.since) >= o.wait:
			delete(l.Adrift, p)
		}
	}
	maps.DeleteFunc(o.adrift, func(p int, _ sighting) bool { _, there := l.Adrift[p]; return !there })
}

// renew makes a member known, and shows that it lives.
func (l *ledger) renew(id string) {
	if l.Members == nil {
		l.Members = map[string]int64{}
	}
	l.Members[id]++
}

// take gives the member free partitions up to its share, and reports those, and how many it has too much. Members have a
// share that follows from their place in the order of ids, so that all agree.
func (l *ledger) take(id string, partitions int) (taken []int, tooMuch int) {
	members := slices.Sorted(maps.Keys(l.Members))
	share := partitions / len(members)
	if slices.Index(members, id) < partitions%len(members) {
		share++
	}
	mine := 0
	for _, holder := range l.Held {
		if holder == id {
			mine++
		}
	}
	for p := 0; p < partitions && mine < share; p++ {
		if _, held := l.Held[p]; held || l.Adrift[p] != "" {
			continue
		}
		if l.Held == nil {
			l.Held = map[int]string{}
		}
		l.Held[p] = id
		taken = append(taken, p)
		mine++
	}
	return taken, max(0, mine-share)
}

// give makes a partition of a member's free, or adrift where a name for that is given.
func (l *ledger) give(id string, partition int, adrift string) {
	if l.Held[partition] != id {
		return
	}
	delete(l.Held, partition)
	if adrift != "" {
		if l.Adrift == nil {
			l.Adrift = map[int]string{}
		}
		l.Adrift[partition] = adrift
	}
}

// holds reports whether a member holds a partition.
func (l *ledger) holds(id string, partition int) bool { return l.Held[partition] == id }
