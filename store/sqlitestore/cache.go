package sqlitestore

import (
	"fmt"

	"zombiezen.com/go/sqlite/sqlitex"
)

// The writer's page cache is for the streams' index: appends to many streams touch its pages at random. A much larger
// one costs more than it saves, since a commit that has split a page looks at each page of the cache.
//
// All connections of a process share one store of pages, and one list of those that were used least lately. A
// connection that reads much, once its own cache is full, takes the pages that others have not used for a while; and it
// keeps them when it falls silent. The writer, finding no room, would then have to give each page back after every use.
// So it gives up a part of its claim now and then, which drops the pages that were used least lately, whosever they
// are, and takes it up again.
const (
	writerCache   = 16 << 10 // KiB
	lessCache     = 12 << 10 // KiB, what is claimed in between
	reclaimsEvery = 32       // commits
)

func sqlCacheSize(kib int) string { return fmt.Sprintf(`cache_size = -%d`, kib) }

// reclaimCache makes room in the cache, once in reclaimsEvery calls.
func (w *writer) reclaimCache() error {
	if w.sinceReclaim++; w.sinceReclaim < reclaimsEvery {
		return nil
	}
	w.sinceReclaim = 0
	for _, kib := range [...]int{lessCache, writerCache} {
		if err := sqlitex.ExecuteTransient(w.Conn, `pragma `+sqlCacheSize(kib), nil); err != nil {
			return fmt.Errorf("set the size of the cache: %w", err)
		}
	}
	return nil
}
