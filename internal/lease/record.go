package lease

import (
	"encoding/json"

	"lexigram.dev/events/store"
)

// Is reports whether a record is a lease, in whatever bucket: those must not be copied into another store, where nobody
// renews them.
func Is(r *store.Record) bool {
	if r.ExpiresAt.IsZero() {
		return false
	}
	var l record
	return json.Unmarshal(r.Value, &l) == nil && l.Owner != "" && l.Token != ""
}
