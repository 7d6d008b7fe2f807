package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"lexigram.dev/events/broker"
)

// The metadata of the stream that all programs must agree on.
const (
	metaPartitions = "lexigram-partitions"
	metaLease      = "lexigram-lease"
)

// openStream finds the stream, or makes it, and takes over what it was made with.
func (b *Backend) openStream(ctx context.Context) error {
	err := b.call(ctx, "STREAM.INFO", func(ctx context.Context) (err error) {
		b.stream, err = b.js.Stream(ctx, b.options.Stream)
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if b.options.NoCreate {
			return refused("there is no stream %s, and it is not to be made (NoCreate)", b.options.Stream)
		}
		err = b.makeStream(ctx)
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", b.options.Stream, err)
	}
	return b.adopt(b.stream.CachedInfo())
}

func (b *Backend) makeStream(ctx context.Context) error {
	o := b.options
	config := jetstream.StreamConfig{
		Name: o.Stream, Description: "messages of lexigram events", Subjects: []string{o.Prefix + ".>"},
		Retention: map[Retention]jetstream.RetentionPolicy{
			Limits: jetstream.LimitsPolicy, Interest: jetstream.InterestPolicy, WorkQueue: jetstream.WorkQueuePolicy,
		}[o.Retention],
		Discard: jetstream.DiscardNew, MaxAge: o.MaxAge, MaxBytes: o.MaxBytes, Replicas: o.Replicas, Storage: b.storage(),
		AllowDirect: true,
		Metadata:    map[string]string{metaPartitions: strconv.Itoa(o.Partitions), metaLease: o.Lease.String()},
	}
	if o.Dedupe > 0 {
		config.Duplicates = o.Dedupe
	}
	return b.call(ctx, "STREAM.CREATE", func(ctx context.Context) (err error) {
		b.stream, err = b.js.CreateStream(ctx, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another program was faster
			b.stream, err = b.js.Stream(ctx, o.Stream)
		}
		return err
	})
}

func (b *Backend) storage() jetstream.StorageType {
	if b.options.InMemory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// adopt takes over what the stream was made with.
func (b *Backend) adopt(info *jetstream.StreamInfo) error {
	c := info.Config
	if !takes(c.Subjects, b.options.Prefix) {
		return refused("stream %s takes the subjects %s, and not %s.>: name another stream or prefix", c.Name, strings.Join(c.Subjects, ", "), b.options.Prefix)
	}
	b.partitions, b.lease = b.options.Partitions, b.options.Lease
	if text, given := c.Metadata[metaPartitions]; given {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPartitions {
			return refused("stream %s has the metadata %s=%q: must be 1 to %d", c.Name, metaPartitions, text, maxPartitions)
		}
		b.partitions = n
	}
	if text, given := c.Metadata[metaLease]; given {
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Second {
			return refused("stream %s has the metadata %s=%q: must be at least 1s", c.Name, metaLease, text)
		}
		b.lease = d
	}
	b.retention, b.config = c.Retention, c
	return nil
}

// takes reports whether a stream with these subjects takes all of a prefix.
func takes(subjects []string, prefix string) bool {
	for _, s := range subjects {
		if s == ">" || s == prefix+".>" {
			return true
		}
		if rest, ok := strings.CutSuffix(s, ".>"); ok && strings.HasPrefix(prefix+".", rest+".") {
			return true
		}
	}
	return false
}

// openBucket gives the bucket with the members of groups, made if it is missing.
func (b *Backend) openBucket(ctx context.Context) (jetstream.KeyValue, error) {
	b.mu.Lock()
	bucket := b.bucket
	b.mu.Unlock()
	if bucket != nil {
		return bucket, nil
	}
	name := bucketName(b.options.Stream)
	err := b.call(ctx, "KV_"+name, func(ctx context.Context) (err error) {
		bucket, err = b.js.KeyValue(ctx, name)
		if errors.Is(err, jetstream.ErrBucketNotFound) && !b.options.NoCreate {
			bucket, err = b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: name, Description: "members of groups of lexigram events", History: 1, Storage: b.config.Storage, Replicas: b.config.Replicas,
			})
		}
		return err
	})
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, refused("there is no bucket %s, and it is not to be made (NoCreate)", name)
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bucket = bucket
	return bucket, nil
}

// Describe implements broker.Backend.
func (b *Backend) Describe(ctx context.Context) (broker.Description, error) {
	var config jetstream.StreamConfig
	err := b.call(ctx, "STREAM.INFO", func(ctx context.Context) error {
		s, err := b.js.Stream(ctx, b.options.Stream)
		if err == nil {
			config = s.CachedInfo().Config
		}
		return err
	})
	if err != nil {
		return broker.Description{}, err
	}
	return broker.Description{
		Broker: "nats", Version: b.conn.ConnectedServerVersion(), Location: b.location(), Durability: durability(config, b.options.SyncAlways),
	}, nil
}
