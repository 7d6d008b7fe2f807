// Package command sends commands, which ask for a change, each to the one handler that is registered for its Go type.
//
// Handlers are plain typed functions; middleware sees all commands and is composed around each handler once, at
// registration. A dispatch allocates nothing of its own when the context already carries a correlation id.
//
// The package does not know aggregates or the store: the two meet in the handlers.
package command
