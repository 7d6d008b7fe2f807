package memstore

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"lexigram.dev/events/event"
)

// idOf makes an id of version 7 whose order is that of n.
func idOf(n uint32) event.ID {
	var id event.ID
	binary.BigEndian.PutUint32(id[:4], n)
	id[6], id[8] = 0x70, 0x80
	return id
}

func TestIDsAreFoundInWhateverOrderTheyCame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	orders := map[string]func(i int) event.ID{
		"ascending":        func(i int) event.ID { return idOf(uint32(i) * 2) },
		"nearly":           func(i int) event.ID { return idOf(uint32(i^random.IntN(64))*256 + uint32(i%128)*2) },
		"descending":       func(i int) event.ID { return idOf(uint32(10_000-i) * 2) },
		"at random":        func(int) event.ID { return idOf(random.Uint32() &^ 1) },
		"derived":          func(i int) event.ID { return event.DerivedID(event.ID{}, string(rune('a'+i))) },
		"in two sequences": func(i int) event.ID { return idOf(uint32(i%2)<<30 + uint32(i)*2) },
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			b := New(Options{})
			want := map[event.ID]event.Position{}
			for i := range 4000 {
				id := order(i)
				if want[id] > 0 {
					continue
				}
				if p := b.ids.find(id); p != 0 {
					t.Fatalf("found %s at %d before it was added", id, p)
				}
				e := b.log.next()
				e.id, e.stream = id, &stream{}
				want[id] = b.log.head()
				b.ids.add(id, b.log.head())
			}
			for id, p := range want {
				if got := b.ids.find(id); got != p {
					t.Fatalf("found %s at %d, want %d", id, got, p)
				}
				other := id
				other[3]++ // odd: never added
				if got := b.ids.find(other); want[other] != got {
					t.Fatalf("found %s at %d, which was never added", other, got)
				}
			}
		})
	}
}

func TestTheIDOfAnErasedEventIsFreeAgain(t *testing.T) {
	b := New(Options{})
	add := func(id event.ID) event.Position {
		e := b.log.next()
		e.id, e.stream = id, &stream{}
		b.ids.add(id, b.log.head())
		return b.log.head()
	}
	for n := range uint32(1000) {
		add(idOf(n))
	}
	for _, n := range []uint32{999, 950, 3} { // the last, one near the end, one far from it
		old := b.ids.find(idOf(n))
		b.erase(old)
		if p := b.ids.find(idOf(n)); p != 0 {
			t.Errorf("id %d is still found at %d", n, p)
		}
		if again := add(idOf(n)); b.ids.find(idOf(n)) != again {
			t.Errorf("id %d is found at %d, want %d", n, b.ids.find(idOf(n)), again)
		}
	}
}
