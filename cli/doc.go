// Package cli holds the commands of lexevents as a library. Each is a thin face of package admin: it reads flags, opens
// the store that the URL names, and prints. It knows no driver and no SQL.
//
// A program of your own can offer the same commands over the backends that it links, and let verify decode each event
// with its own types: see [Options].
package cli
