// Package storetest is the conformance suite of store.Backend: the promises of the port as a table of clauses in plain
// words, each with the code that proves it, and the benchmarks that drivers are compared by.
//
// A driver's test calls Run with a Harness. Each clause runs on a new, empty store. Clauses that need a capability which
// the backend does not have are left out, and say so.
package storetest
