package subscription

import "lexigram.dev/events/event"

// PartitionOf gives the partition, from 0, in which the events of a stream are handled when there are n: FNV-1a of the
// name, 32 bits, modulo n. Stored checkpoints rest on it, so it never changes.
func PartitionOf(stream event.StreamID, n int) int {
	if n == 1 {
		return 0
	}
	hash := uint32(2166136261)
	for i := range len(stream) {
		hash = (hash ^ uint32(stream[i])) * 16777619
	}
	return int(hash % uint32(n))
}
