package natsbroker

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// faults says in which ways confirmed messages may be lost.
func faults(c jetstream.StreamConfig, syncAlways bool) []string {
	var faults []string
	switch {
	case c.Storage == jetstream.MemoryStorage && c.Replicas < 2:
		faults = append(faults, "kept in the memory of one server: its restart loses everything")
	case c.Storage == jetstream.MemoryStorage:
		faults = append(faults, fmt.Sprintf("kept in the memory of %d servers: gone when most of them restart at the same time", c.Replicas))
	case c.PersistMode == jetstream.AsyncPersistMode:
		faults = append(faults, "persist mode async: confirmed before it is written to a file; a crash of the server loses the last messages")
	case c.Replicas < 2 && !syncAlways:
		faults = append(faults, "kept in a file of one server, which cannot tell a client whether it syncs that to disk before it confirms: unless the "+
			"server has sync_interval: always (the default is every 2 minutes; say SyncAlways where it has), a power failure or a crash of the machine loses confirmed messages")
	}
	if c.Discard == jetstream.DiscardOld && (c.MaxBytes > 0 || c.MaxMsgs > 0 || c.MaxMsgsPerSubject > 0) {
		faults = append(faults, "the stream discards old messages when it is full, read or not")
	}
	if c.MaxAge > 0 {
		faults = append(faults, fmt.Sprintf("messages older than %v are removed, read or not", c.MaxAge))
	}
	return faults
}

// durability says in plain words what a confirmed message survives.
func durability(c jetstream.StreamConfig, syncAlways bool) string {
	if faults := faults(c, syncAlways); len(faults) > 0 {
		return strings.Join(faults, "; ")
	}
	if c.Replicas > 1 {
		return fmt.Sprintf("written by a majority of %d servers before it is confirmed", c.Replicas)
	}
	return "on disk before it is confirmed (sync_interval: always, as the options say)"
}
