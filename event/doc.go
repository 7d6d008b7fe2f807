// Package event holds the vocabulary that every other package shares: ids, stream names, versions, positions,
// metadata, tags, and the two forms of an event: [Pending], not yet stored, and [Recorded], stored.
//
// It is plain data. It knows nothing of storage, of Go types that events decode to (package schema) or of buses.
package event
