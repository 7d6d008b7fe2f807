// Package query sends queries, which ask for information and change nothing, each to the one handler that is registered
// for its Go type. It works as package command does.
//
// The package does not know read models: the handlers do.
package query
