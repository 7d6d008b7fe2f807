package lease_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"lexigram.dev/events/internal/lease"
	"lexigram.dev/events/store"
)

// party is a member with the leases it holds.
type party struct {
	*lease.Member
	held map[int]*lease.Lease
}

// round lets a member do once what its plan says, and reports whether that was anything.
func (p *party) round(t *testing.T) bool {
	t.Helper()
	if err := p.Appear(t.Context()); err != nil {
		t.Fatal(err)
	}
	take, give, err := p.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range take {
		l, err := p.Acquire(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		p.held[i] = l
	}
	for _, i := range slices.Sorted(maps.Keys(p.held))[:give] {
		if err := p.held[i].Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		delete(p.held, i)
	}
	return len(take) > 0 || give > 0
}

// settle lets all take turns until nobody has anything to do, and gives how many each one holds.
func settle(t *testing.T, parties []*party) (shares []int) {
	t.Helper()
	for idle, rounds := 0, 0; idle < 2; rounds++ { // in the first round not everybody sees everybody
		idle++
		for _, p := range parties {
			if p.round(t) {
				idle = 0
			}
		}
		if rounds > 100 {
			t.Fatal("they do not come to an agreement")
		}
	}
	for _, p := range parties {
		shares = append(shares, len(p.held))
	}
	return shares
}

func TestMembersShareFairly(t *testing.T) {
	for _, leases := range []int{1, 2, 3, 4, 7, 16} {
		t.Run(fmt.Sprintf("%d leases", leases), func(t *testing.T) {
			b := memory(t)
			var parties []*party
			for n := 1; n <= 5; n++ {
				before := map[int]*party{}
				for _, p := range parties {
					for i := range p.held {
						before[i] = p
					}
				}
				parties = append(parties, &party{lease.Join(holder(b, fmt.Sprint("member ", n)), "g", leases), map[int]*lease.Lease{}})
				checkShares(t, leases, settle(t, parties))
				moved := 0
				for i, p := range before {
					if p.held[i] == nil {
						moved++
					}
				}
				if most := (leases + n - 1) / n; moved > most {
					t.Errorf("for the newcomer as number %d, %d leases have moved, want at most its share of %d", n, moved, most)
				}
			}
			for len(parties) > 1 {
				leaver := parties[0]
				parties = parties[1:]
				for _, l := range leaver.held {
					if err := l.Release(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := leaver.Leave(t.Context()); err != nil {
					t.Fatal(err)
				}
				checkShares(t, leases, settle(t, parties))
			}
		})
	}
}

func checkShares(t *testing.T, leases int, shares []int) {
	t.Helper()
	total := 0
	for _, n := range shares {
		total += n
		if n < leases/len(shares) || n > (leases+len(shares)-1)/len(shares) {
			t.Errorf("%d leases are shared as %v", leases, shares)
		}
	}
	if total != leases {
		t.Errorf("of %d leases %v are held", leases, shares)
	}
}

func TestWhoHoldsWhatCanBeSeen(t *testing.T) {
	b := memory(t)
	s := store.New(b, store.Options{})
	ann := &party{lease.Join(holder(b, "ann"), "g", 2), map[int]*lease.Lease{}}
	bob := &party{lease.Join(holder(b, "bob"), "g", 2), map[int]*lease.Lease{}}
	settle(t, []*party{ann, bob})
	g, err := lease.Look(t.Context(), s, "leases", "g")
	if err != nil || len(g.Members) != 2 || len(g.Holders) != 2 || g.String() != "ann, bob" {
		t.Errorf("got %+v, %v", g, err)
	}
	if g, err := lease.Look(t.Context(), s, "leases", "other"); err != nil || len(g.Members)+len(g.Holders) > 0 {
		t.Errorf("another group: %+v, %v", g, err)
	}
}
