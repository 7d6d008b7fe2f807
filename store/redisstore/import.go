package redisstore

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// importPage is how many events one script takes over: the server does nothing else meanwhile.
const importPage = 1000

// Import implements store.Importer.
func (b *Backend) Import(ctx context.Context, after event.Position, events []event.Recorded) error {
	if err := b.writable(ctx); err != nil {
		return err
	}
	for page := range slices.Chunk(events, importPage) {
		if err := b.importPage(ctx, after, page); err != nil {
			return b.explain(ctx, err)
		}
		after = page[len(page)-1].Position
		b.committed()
	}
	return b.explain(ctx, b.confirm(ctx))
}

func (b *Backend) importPage(ctx context.Context, after event.Position, events []event.Recorded) error {
	streams := store.ImportedStreams(events)
	keys, args := b.importPlan(after, events, streams)
	for {
		r, err := b.run(ctx, b.writes, &b.scripts.imports, keys, args...)
		if err != nil {
			return err
		}
		v := importVerdict{}
		v.read(r)
		if r.err != nil {
			return r.err
		}
		if v.code != 'G' {
			return v.complaint(after, events, streams)
		}
		if _, err := b.truncate(ctx, streams[v.number-1].Stream, event.Version(v.version)); err != nil {
			return err
		}
	}
}

// importPlan gives the keys and arguments of import.lua.
func (b *Backend) importPlan(after event.Position, events []event.Recorded, streams []store.ImportedStream) (keys []string, args []any) {
	p := plan{names: &b.keys, streams: numbers{of: map[index]int{}}, indexes: numbers{of: map[index]int{}}}
	p.pack(int64(after), int64(len(streams)))
	for i := range streams {
		s := &streams[i]
		p.stream(s.Stream)
		deleted := int64(0)
		if s.Deleted {
			deleted = 1
		}
		p.pack(int64(s.First), int64(s.Last), deleted)
	}
	for i := range events {
		p.addImported(&events[i])
	}
	packed := append(packArray(make([]byte, 0, len(p.packed)+8), p.numbers), p.packed...)
	args = append(make([]any, 0, 5+len(events)), b.keys.pages, b.keys.channel, schema, len(b.keys.streams)+1, packed)
	start := 0
	for _, end := range p.ends {
		args = append(args, p.events[start:end])
		start = end
	}
	counts := []string{b.keys.values + store.TruncatedBucket, b.keys.order + store.TruncatedBucket}
	return slices.Concat([]string{b.keys.meta, b.keys.ids, b.keys.cut, b.keys.names}, counts, p.streams.keys, p.indexes.keys), args
}

func (p *plan) addImported(e *event.Recorded) {
	p.events = appendFacts(p.events, e.Version, e.RecordedAt.UnixMicro(), e.Stream, &event.Pending{
		ID: e.ID, Type: e.Type, SchemaVersion: e.SchemaVersion, ContentType: e.ContentType, Tags: e.Tags, OccurredAt: e.OccurredAt,
	})
	p.events = binary.BigEndian.AppendUint32(p.events, uint32(len(e.RawMetadata))) //nolint:gosec // checked by the store
	p.events = append(append(p.events, e.RawMetadata...), e.Data...)
	p.ends = append(p.ends, len(p.events))
	tags := slices.Clone(e.Tags)
	slices.Sort(tags)
	tags = slices.Compact(tags)
	p.pack(int64(e.Position), p.stream(e.Stream), int64(2+len(tags)), p.index('c', e.Stream.Category()), p.index('t', e.Type))
	for _, t := range tags {
		p.pack(p.index('g', string(t)))
	}
}

// importVerdict is the answer of import.lua.
type importVerdict struct {
	code    byte // 0: imported
	number  int64
	version int64
	key     string
}

func (v *importVerdict) read(r *reply) {
	n := r.array()
	if n < 2 {
		return
	}
	code := r.bytes()
	if len(code) != 1 {
		r.fail(errReply)
		return
	}
	if v.code = code[0]; v.code == 'W' {
		v.key = string(r.bytes())
		return
	}
	v.number = r.int()
	if n > 2 {
		v.version = r.int()
	}
}

func (v *importVerdict) complaint(after event.Position, events []event.Recorded, streams []store.ImportedStream) error {
	switch v.code {
	case 'H':
		return &store.HeadError{Expected: after, Actual: event.Position(v.number)}
	case 'I':
		return &store.IDReusedError{ID: events[v.number-1].ID, Reason: "it comes again at another position"}
	case 'D', 'V':
		_, err := streams[v.number-1].Follows(event.Version(v.version), v.code == 'D')
		return err
	case 'W':
		return foreign(v.key)
	}
	return nil
}

// ImportRecords implements store.Importer.
func (b *Backend) ImportRecords(ctx context.Context, records []store.Record) error {
	if err := b.writable(ctx); err != nil {
		return err
	}
	keys := []string{b.keys.meta, b.keys.expiry}
	buckets := map[string]int64{}
	packed := packArray(nil, len(records))
	args := []any{"", schema, nil}
	for i := range records {
		r := &records[i]
		at, known := buckets[r.Bucket]
		if !known {
			keys = append(keys, b.keys.values+r.Bucket, b.keys.order+r.Bucket)
			at = int64(len(keys) - 1)
			buckets[r.Bucket] = at
		}
		expires := int64(0)
		if !r.ExpiresAt.IsZero() {
			expires = r.ExpiresAt.UnixMicro()
		}
		packed = packInt(packArray(packed, 5), at)
		packed = packString(packString(packed, r.Bucket), r.Key)
		packed = packInt(packInt(packed, int64(r.Revision)), expires)
		args = append(args, append([]byte{}, r.Value...)) // the caller may leave before it is sent
	}
	args[2] = packed
	r, err := b.run(ctx, b.writes, &b.scripts.records, keys, args...)
	if err != nil {
		return b.explain(ctx, err)
	}
	if r.array() == 2 {
		i, actual := int(r.int())-1, store.Revision(r.int())
		if r.err != nil || i < 0 || i >= len(records) {
			return errReply
		}
		return &store.RevisionError{Bucket: records[i].Bucket, Key: records[i].Key, Expected: records[i].Revision, Actual: actual}
	}
	if r.err != nil {
		return r.err
	}
	return b.explain(ctx, b.confirm(ctx))
}

// Buckets implements store.BucketLister. It looks at all keys of the database, some at a time.
func (b *Backend) Buckets(ctx context.Context) ([]string, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	var buckets []string
	scan := func(ctx context.Context, c redis.Cmdable) error {
		keys := c.Scan(ctx, 0, escaped(b.keys.order)+"*", 1000).Iterator()
		for keys.Next(ctx) {
			buckets = append(buckets, strings.TrimPrefix(keys.Val(), b.keys.order))
		}
		return keys.Err()
	}
	err := b.during(ctx, func() error {
		cluster, many := b.reads.(*redis.ClusterClient)
		if !many {
			return scan(ctx, b.reads)
		}
		node, err := cluster.MasterForKey(ctx, b.keys.meta) // all keys of a store are in one slot
		if err != nil {
			return err
		}
		return scan(ctx, node)
	})
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	slices.Sort(buckets)
	return slices.Compact(buckets), nil
}

// escaped gives a pattern that matches a text itself.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}
