package kafkabroker

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

// poll takes what the client has fetched until ctx ends.
func (s *stream) poll(ctx context.Context) {
	defer close(s.polled)
	for s.hungry(ctx) {
		s.note(ctx, s.client.PollFetches(ctx))
		s.client.AllowRebalance()
	}
}

// hungry waits until something may be polled, and reports false when the stream is over.
func (s *stream) hungry(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.gone == nil && ctx.Err() == nil {
		if !s.leaving && !s.disclaimed && s.waiting() < s.prefetch {
			return true
		}
		s.wait(ctx)
	}
	return false
}

// waiting counts what was polled and can be given out.
func (s *stream) waiting() int {
	n := 0
	for _, p := range s.fetched {
		n += len(p.fetched)
	}
	return n
}

// note takes in what was polled.
func (s *stream) note(ctx context.Context, fetches kgo.Fetches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fetches.EachError(func(topic string, partition int32, err error) {
		if ctx.Err() != nil || s.gone != nil {
			return
		}
		if topic != "" {
			err = fmt.Errorf("topic %s, partition %d: %w", topic, partition, err)
		}
		if s.fail(translate(ctx, err)); errors.Is(s.gone, broker.ErrClosed) {
			s.fail(unavailable("the stream is closed"))
		}
	})
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		p := s.partitions[place{f.Topic, f.Partition}]
		if p == nil || p.leaving || s.leaving || len(f.Records) == 0 {
			return // nobody gets it here: whoever has the partition next reads it, since it is not committed
		}
		p.fetched = append(p.fetched, f.Records...)
		s.line(p)
	})
	s.signal()
}

// line puts a partition into the line of those that Receive takes of, if it belongs there. The lock is held.
func (s *stream) line(p *partition) {
	if !p.lined && len(p.fetched) > 0 && len(p.entries) < s.farAhead() {
		p.lined = true
		s.fetched = append(s.fetched, p)
	}
}

// Receive implements broker.Stream.
func (s *stream) Receive(ctx context.Context, limit int) ([]broker.Received, error) {
	records, entries, err := s.take(ctx, limit)
	if err != nil {
		return nil, err
	}
	received := make([]broker.Received, len(records))
	for i, r := range records {
		received[i] = broker.Received{Message: s.reader.read(r), Token: &entries[i], Owned: s.isOwned}
	}
	return received, nil
}

// take waits for records, and notes that they are given out. There are as many entries, in one piece: they are answered at
// about the same time.
func (s *stream) take(ctx context.Context, limit int) ([]*kgo.Record, []entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.gone != nil {
			return nil, nil, s.gone
		}
		if s.leaving {
			return nil, nil, unavailable("the stream has given messages back, and leaves")
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if len(s.fetched) > 0 && !s.full() && !s.disclaimed {
			break
		}
		s.wait(ctx)
	}
	n := min(limit, s.prefetch-s.held, s.waiting())
	records, entries := make([]*kgo.Record, 0, n), make([]entry, n)
	for len(s.fetched) > 0 && len(records) < n {
		p := s.fetched[0]
		s.fetched = s.fetched[1:]
		share := (n - len(records) + len(s.fetched)) / (len(s.fetched) + 1)
		share = min(share, len(p.fetched), s.farAhead()-len(p.entries))
		for _, r := range p.fetched[:share] {
			e := &entries[len(records)]
			*e = entry{partition: p, offset: r.Offset, epoch: r.LeaderEpoch}
			p.add(e)
			records = append(records, r)
		}
		clear(p.fetched[:share]) // so that they are not kept longer than their messages
		if p.fetched = p.fetched[share:]; len(p.fetched) == 0 {
			p.fetched = nil
		}
		if len(p.entries) == s.farAhead() {
			s.client.PauseFetchPartitions(p.asMap())
		}
		p.lined = false
		s.line(p)
	}
	s.held += len(records)
	s.watchProgress()
	if s.waiting() < s.prefetch {
		s.signal() // to the poller
	}
	return records, entries[:len(records)], nil
}

// full reports whether as much is held as may be.
func (s *stream) full() bool { return s.held >= s.prefetch }

// dropFetched forgets what was polled of a partition and not given out: whoever has it next reads it again.
func (s *stream) dropFetched(p *partition) {
	p.fetched = nil
	if p.lined {
		p.lined = false
		kept := make([]*partition, 0, len(s.fetched))
		for _, other := range s.fetched {
			if other != p {
				kept = append(kept, other)
			}
		}
		s.fetched = kept
	}
}
