//go:build !race

package main

// sampleLines is how many lines of the sample the tests import: all.
const sampleLines = 1 << 20
