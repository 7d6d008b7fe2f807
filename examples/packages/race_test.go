//go:build race

package main

// sampleLines is how many lines of the sample the tests import: SQLite in Go is fifty times slower under the detector.
const sampleLines = 900
