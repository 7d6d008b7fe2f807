// Package store is the port to everything durable: [Store], the portable type that applications use, over [Backend],
// the small interface that a driver writes.
//
// A backend does two things: [Log] appends events (conditionally, atomically, idempotently) and reads them in order;
// [KV] keeps small keyed records with compare-and-set. All that is durable above it (snapshots, checkpoints, leases,
// dead letters, read models) is a thin layer over these two, so it works on every backend. Policy lives in Store, once:
// checking of input, limits, defaults, observing, and the naming of operations in errors. Drivers stay dumb.
//
// The promises that a backend keeps are the clauses of package storetest; read them as the specification.
//
// This package knows events as bytes under a type name. It has never heard of Go types, topics or brokers.
package store
