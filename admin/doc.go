// Package admin holds what an operator does with a store: look into it, follow it, append to it by hand, copy it out and
// in, prove that it is whole, migrate its tables and measure its speed. The command line and the dashboard are two faces
// of this package.
//
// It works on any [store.Store] and knows no driver, no SQL and no Go types of events.
package admin
