// Package netfault is a TCP proxy that fails as networks and servers do: it cuts and resets connections, refuses new ones,
// loses answers, and delays what it carries. Tests and the fault scripts put it between a driver and its server. It knows
// bytes, not protocols.
package netfault
