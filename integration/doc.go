// Package integration holds tests whose dependencies users of lexigram.dev/events shall not get: other programs' libraries,
// against which the brokers' messages are checked. It is a module of its own and has no code. scripts/test runs it.
package integration
