package memstore

import (
	"bytes"
	"slices"
	"sort"

	"lexigram.dev/events/event"
)

// ids finds events by their ids. Nearly all ids are of version 7 and come in the order in which they were made, or
// nearly so: of these it keeps the positions in the order of the ids, so that a new one goes to the end. A map that had
// to take them would cost more time than all the rest of an append. It is for what comes out of order.
type ids struct {
	log    *log
	rising []event.Position // of entries whose ids ascend; empty ones among them
	others map[event.ID]event.Position
}

// late is how far from the end an id may still be put in its place: writers that overtake each other.
const late = 128

// add notes a new id.
func (x *ids) add(id event.ID, p event.Position) {
	if n := len(x.rising); id[6]>>4 == 7 {
		if n == 0 || !x.less(id, n-1) {
			if n == cap(x.rising) {
				x.rising = slices.Grow(x.rising, n+64) // append's own growth would copy it four times as often
			}
			x.rising = append(x.rising, p)
			return
		}
		if at := x.after(id); n-at <= late {
			x.rising = slices.Insert(x.rising, at, p)
			return
		}
	}
	if x.others == nil {
		x.others = map[event.ID]event.Position{}
	}
	x.others[id] = p
}

// less reports whether the id comes before the one at a place of rising.
func (x *ids) less(id event.ID, place int) bool {
	return bytes.Compare(id[:], x.log.at(x.rising[place]).id[:]) < 0
}

// find gives the position of the event; 0 where there is none.
func (x *ids) find(id event.ID) event.Position {
	if id[6]>>4 == 7 {
		n := len(x.rising)
		after := x.after(id)
		if after > 0 {
			p := x.rising[after-1]
			if e := x.log.at(p); e.id == id && !e.empty() {
				return p
			}
		}
		if after == n {
			return 0 // it is a new one, as nearly always: others has only what came too late to be in rising
		}
	}
	return x.others[id]
}

// after gives the place in rising behind the ids up to this one. It is near the end, mostly, so the search begins there.
func (x *ids) after(id event.ID) int {
	n := len(x.rising)
	from, step := n, 1
	for from > 0 && x.less(id, from-1) {
		from = max(0, from-step)
		step *= 2
	}
	to := min(n, from+step)
	return from + sort.Search(to-from, func(i int) bool { return x.less(id, from+i) })
}

// remove forgets an id whose entry is empty now.
func (x *ids) remove(id event.ID) { delete(x.others, id) }
