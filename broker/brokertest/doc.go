// Package brokertest is the conformance suite of broker.Backend: the promises of the port as a table of clauses in plain
// words, each with the code that proves it, and a benchmark that drivers are compared by.
//
// A driver's test calls Run with a Harness. Each clause uses topics and groups of its own. A clause about a feature that
// the driver's Features leave out is skipped, and so is one for which the harness has no hook; none is skipped otherwise.
package brokertest
