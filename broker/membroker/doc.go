// Package membroker is the message broker within the process: the reference driver of package broker. It keeps every
// clause of brokertest, and is written to be read.
//
// What it holds is gone with the process. Groups, once declared, gather messages until they are handled, whether or not
// they have a member, up to Options.MaxMessages and MaxBytes; publishers then wait for room, and in the end get
// broker.ErrFull.
package membroker
