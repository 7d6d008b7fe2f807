package groupcommit

import (
	"cmp"
	"slices"
)

// orderByStream puts requests in the order of their streams. Their callers append at the same time, so any order is as
// good as that in which they came; in this one a database goes through its index from one side to the other, and the
// pages that one insert has brought into the processor's caches serve the next. Those of one stream stay in their order:
// some may rest on what came before. So do all where a request has several streams or a condition, since then more than
// the order within a stream can matter.
func orderByStream(requests []*Request) {
	for _, r := range requests {
		if len(r.Commit.Appends) != 1 || r.Commit.Condition != nil {
			return
		}
	}
	slices.SortStableFunc(requests, func(a, b *Request) int {
		return cmp.Compare(a.Commit.Appends[0].Stream, b.Commit.Appends[0].Stream)
	})
}
