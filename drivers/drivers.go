// Package drivers is the only importer of every driver: for programs, such as the command line, that let their user
// choose a backend by URL. A program that knows its backends lists them itself and compiles no others.
package drivers

import (
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/mongostore"
	"lexigram.dev/events/store/pgstore"
	"lexigram.dev/events/store/redisstore"
	"lexigram.dev/events/store/sqlitestore"
)

// All gives the drivers of all backends.
func All() []store.Driver {
	return []store.Driver{memstore.Driver(), sqlitestore.Driver(), pgstore.Driver(), mongostore.Driver(), redisstore.Driver()}
}
