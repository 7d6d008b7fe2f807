// Package embedded runs a NATS server with JetStream inside of the process: an event bus that needs no installation. One
// process alone keeps its messages in files; three that name each other as routes form a cluster, which keeps each message
// on three of them and goes on when one is lost.
//
// It is a package of its own so that programs which use a NATS server that runs elsewhere do not compile one.
//
// The package knows package natsbroker and the server; it must not know what is above the port.
package embedded
