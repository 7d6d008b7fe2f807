// Package dispatch is what the command bus and the query bus have in common: one typed handler per message type, found
// by type, with middleware composed around it once.
//
// It is built so that a dispatch costs no allocation: handlers are found in a copy-on-write map, and the envelope that
// middleware sees is pooled. It knows nothing of events or stores.
package dispatch
