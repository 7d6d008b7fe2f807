package lease

import (
	"maps"
	"slices"
)

// view is what a member sees of its group.
type view struct {
	leases int
	self   string
	held   map[string]int // members, by token; plan counts how many leases each one holds
	taken  map[int]bool   // the leases that somebody holds
	holds  []string       // their holders, who may be members no more
}

// plan is the rule of sharing. With k leases and n members everybody has at least ⌊k/n⌋ and at most ⌈k/n⌉, and nothing
// moves that need not: who has no more than ⌈k/n⌉ gives back only for one that has less than ⌊k/n⌋.
//
//   - Who has less than the least share takes free ones up to it.
//   - Who has it takes one more if one is free and nobody lacks the least share.
//   - Who has more than the greatest share gives back what is too much.
//   - If nothing is free and somebody lacks the least share, then the one with the most gives one back.
//
// All members see about the same and follow the same rule, so they agree within a few rounds; until then a lease may be
// free, or be wanted by two of which one gets it, but it never has two holders.
func (v *view) plan() (take []int, give int) {
	for _, token := range v.holds {
		if _, member := v.held[token]; member {
			v.held[token]++
		}
	}
	members := slices.Sorted(maps.Keys(v.held))
	least, greatest := v.leases/len(members), (v.leases+len(members)-1)/len(members)
	mine, lacking := v.held[v.self], false
	richest := ""
	for _, token := range members {
		n := v.held[token]
		lacking = lacking || n < least && token != v.self
		if richest == "" || n > v.held[richest] {
			richest = token
		}
	}
	free := v.leases - len(v.taken)
	switch {
	case mine < least && free > 0:
		return v.free(slices.Index(members, v.self), len(members), least-mine), 0
	case mine < greatest && free > 0 && !lacking:
		return v.free(slices.Index(members, v.self), len(members), 1), 0
	case mine > greatest:
		return nil, mine - greatest
	case mine > least && free == 0 && lacking && richest == v.self:
		return nil, 1
	}
	return nil, 0
}

// free gives up to n free leases. Each member begins at another place, so that they seldom want the same.
func (v *view) free(rank, members, n int) (found []int) {
	for j := range v.leases {
		i := (rank*v.leases/members + j) % v.leases
		if !v.taken[i] && len(found) < n {
			found = append(found, i)
		}
	}
	return found
}
