// Package memstore keeps a log and its records in the memory of the process. It is the reference that the other drivers
// are compared with: the shortest code that keeps every promise of package store. It serves tests, examples and programs
// that are configured with nothing.
//
// Nothing survives the process; Describe says so. One mutex guards everything: an append is a handful of map and slice
// operations under it, so the order of positions is the order of appends by construction.
package memstore
