package pgstore

import (
	"sync"

	"lexigram.dev/events/event"
)

// versions remembers the versions of streams that were used lately, for appends that expect any version: COPY must be
// told versions, and the server checks them, so what is remembered may be wrong. It is a cache of two generations: when
// the young one is full it becomes the old one, and what is used again is young again.
type versions struct {
	limit int

	mu         sync.Mutex
	young, old map[event.StreamID]event.Version
}

func newVersions(limit int) *versions {
	return &versions{limit: limit, young: map[event.StreamID]event.Version{}}
}

// get gives 0 for an unknown stream: mostly it is a new one.
func (v *versions) get(stream event.StreamID) event.Version {
	v.mu.Lock()
	defer v.mu.Unlock()
	if version, known := v.young[stream]; known {
		return version
	}
	return v.old[stream]
}

func (v *versions) set(stream event.StreamID, version event.Version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.young) >= v.limit {
		v.young, v.old = make(map[event.StreamID]event.Version, v.limit), v.young
	}
	v.young[stream] = version
}
