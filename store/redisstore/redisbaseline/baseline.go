// Package redisbaseline is what a Redis store is measured against: the same bytes in a Redis stream, one packed entry per
// event, through bare go-redis, without any of the store's promises and without its indexes. The bench command uses it;
// programs do not.
package redisbaseline

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/event"
)

// pageSize is how many positions are in one list of a store's log, and how many a raw read asks for at once.
const pageSize = 1024

// Baseline writes into scratch streams beside a store, and reads the store's own lists.
type Baseline struct {
	options *redis.Options
	prefix  string // of the store's keys
	scratch string

	mu     sync.RWMutex // held for writing while the client is changed
	client *redis.Client
	pipe   *redis.AutoPipeliner
}

// Open removes what an earlier baseline of the same store left. The URL is that of the store.
func Open(ctx context.Context, storeURL string) (*Baseline, error) {
	u, err := url.Parse(storeURL)
	if err != nil {
		return nil, errors.New("open baseline: the URL is not valid")
	}
	name := u.Query().Get("name")
	if name == "" {
		name = "lexigram"
	}
	u.RawQuery = ""
	options, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errors.New("open baseline: the URL cannot be used")
	}
	b := &Baseline{options: options, prefix: "{" + name + "}:", scratch: "{" + name + "-bench}:"}
	if err := b.SetPool(ctx, 1); err != nil {
		return nil, err
	}
	if err := b.drop(ctx); err != nil {
		_ = b.client.Close()
		return nil, err
	}
	return b, nil
}

func (b *Baseline) drop(ctx context.Context) error {
	if err := b.client.Unlink(ctx, b.scratch+"one", b.scratch+"bulk").Err(); err != nil {
		return fmt.Errorf("drop the streams of the baseline: %w", err)
	}
	return nil
}

// SetPool sets how many pipelines may be on their way at once. One is mostly the fastest: all writers share it.
func (b *Baseline) SetPool(_ context.Context, n int) error {
	options := *b.options
	options.PipelinePoolSize = max(n, 10)
	client := redis.NewClient(&options)
	pipe, err := client.AsyncAutoPipelineWithOptions(&redis.AutoPipelineOptions{MaxConcurrentBatches: n, Unordered: n > 1})
	if err != nil {
		_ = client.Close()
		return fmt.Errorf("set pool of baseline: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil {
		_ = b.client.Close()
	}
	b.client, b.pipe = client, pipe
	return nil
}

// Insert stores the rows by one XADD each. The commands of all that insert at the same time share pipelines.
func (b *Baseline) Insert(ctx context.Context, rows []event.Recorded) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	sent := make([]redis.AutoFuture, len(rows))
	for i := range rows {
		sent[i] = b.pipe.Submit(ctx, redis.NewStringCmd(ctx, "xadd", b.scratch+"one", "*", "e", pack(&rows[i])))
	}
	for _, s := range sent {
		if err := s.Wait(); err != nil {
			return fmt.Errorf("insert into baseline: %w", err)
		}
	}
	return nil
}

// Bulk stores the rows by one pipeline of XADDs with explicit ids, their positions.
func (b *Baseline) Bulk(ctx context.Context, rows []event.Recorded) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range rows {
			p.XAdd(ctx, &redis.XAddArgs{
				Stream: b.scratch + "bulk", ID: strconv.FormatInt(int64(rows[i].Position), 10) + "-0",
				Values: []any{"e", pack(&rows[i])},
			})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add to baseline: %w", err)
	}
	return nil
}

// pack puts all columns of a row into one value.
func pack(e *event.Recorded) []byte {
	b := make([]byte, 0, 160+len(e.Data)+len(e.RawMetadata))
	b = append(b, e.ID[:]...)
	for _, n := range [...]int64{int64(e.Version), int64(e.Position), int64(e.SchemaVersion), e.OccurredAt.UnixMicro(), e.RecordedAt.UnixMicro()} {
		b = binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // bits
	}
	for _, s := range [...]string{string(e.Stream), e.Type, e.ContentType} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Tags)))
	for _, t := range e.Tags {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	b = append(binary.AppendUvarint(b, uint64(len(e.RawMetadata))), e.RawMetadata...)
	return append(b, e.Data...)
}

// Read reads the store's own events in the order of their positions, two lists at a time. It touches each value and
// makes nothing of it. It returns the number of events.
func (b *Baseline) Read(ctx context.Context) (int64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var total, touched int64
	for page := 0; ; page += 2 {
		var lists [2]*redis.StringSliceCmd
		if _, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range lists {
				lists[i] = p.LRange(ctx, b.prefix+"e:"+strconv.Itoa(page+i), 0, -1)
			}
			return nil
		}); err != nil {
			return total, fmt.Errorf("read baseline: %w", err)
		}
		for _, list := range lists {
			for _, value := range list.Val() {
				if value != "" { // else a removed event
					total++
				}
				touched += int64(len(value))
			}
			if len(list.Val()) < pageSize {
				if total > 0 && touched == 0 {
					return total, errors.New("read baseline: the events are empty")
				}
				return total, nil
			}
		}
	}
}

// Close removes the scratch streams.
func (b *Baseline) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.drop(context.Background())
	if closed := b.client.Close(); err == nil {
		err = closed
	}
	return err
}
