// Package monitor answers those who watch a store and a broker over HTTP: /healthz, /readyz and /metrics for Prometheus. It
// is what `lexevents serve` runs, and a program of one's own can mount it beside its other pages.
//
// It asks the store and the broker at each request, so it tells of all processes that work on them. What one program does
// itself, how often and how fast, is promobserve's.
package monitor
