package redisbroker

import "strconv"

// keys are the names of a topic's keys. All begin with one hash tag.
type keys struct{ base string }

func (b *Backend) keysOf(topic string) keys {
	return keys{base: "{" + b.options.Prefix + ":" + topic + "}:"}
}

func (k keys) topic() string { return k.base + "topic" }

// stream is that of a partition, or of the messages without a key, whose number is that of the partitions.
func (k keys) stream(n, partitions int) string {
	if n == partitions {
		return k.base + "free"
	}
	return k.base + "p:" + strconv.Itoa(n)
}

func (k keys) waker(group string) string { return k.base + "w:" + group }

// partitionOf gives the number of the stream that a message with this key goes to.
func partitionOf(key string, partitions int) int {
	if key == "" {
		return partitions
	}
	hash := uint32(2166136261) // FNV-1a
	for i := range len(key) {
		hash = (hash ^ uint32(key[i])) * 16777619
	}
	return int(hash % uint32(partitions)) //nolint:gosec // 1 to 256
}
