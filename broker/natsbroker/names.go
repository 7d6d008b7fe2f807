package natsbroker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// anyPartition stands for the messages without a key.
const anyPartition = -1

// partitionOf is the FNV-1a hash of the key, modulo the number of partitions.
func partitionOf(key string, partitions int) int {
	if key == "" {
		return anyPartition
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(partitions)) //nolint:gosec // G115: 1 to 256
}

// subject is where the messages of a partition go. Topics may have dots: the last part is always the partition's.
func subject(prefix, topic string, partition int) string {
	return prefix + "." + topic + "." + partitionName(partition)
}

func partitionName(partition int) string {
	if partition == anyPartition {
		return "any"
	}
	return strconv.Itoa(partition)
}

// topicOf is the topic that a subject belongs to; "": none of ours.
func topicOf(prefix, subject string) string {
	rest, ok := strings.CutPrefix(subject, prefix+".")
	if !ok {
		return ""
	}
	last := strings.LastIndexByte(rest, '.')
	if last < 0 {
		return ""
	}
	return rest[:last]
}

// consumerName names the durable consumer of a group's partition: readable, and unique by a hash, since names of
// consumers have no dots and a length limit.
func consumerName(group, topic string, partition int) string {
	sum := sha256.Sum256([]byte(group + "\x00" + topic))
	return fmt.Sprintf("%s-%s-%s-%s", readable(group), readable(topic), hex.EncodeToString(sum[:6]), partitionName(partition))
}

func readable(name string) string {
	name = strings.ReplaceAll(name, ".", "_")
	return name[:min(len(name), 80)]
}

// ledgerKey is where the members of a group are written, for one of its topics.
func ledgerKey(group, topic string) string { return group + "/" + topic }

func bucketName(stream string) string { return stream + "-members" }
