// Package errcode gives the engine's errors numbers that stay: LEX_ERR_EVT_004 is a conflict in each version, whatever its
// text says. An error carries its code through wrapping; Of finds it. Each code has a page, docs/errors/LEX_ERR_EVT_nnn.md,
// with cause and cure, which `lexevents explain nnn` prints.
//
// It must not know any of the errors: each package gives its own a code.
package errcode
