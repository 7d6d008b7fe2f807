package kafkabroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/broker"
)

// Ack implements broker.Stream. It returns when the offsets are committed that it has moved. Messages whose partition
// was lost meanwhile are passed over: they come again elsewhere.
func (s *stream) Ack(ctx context.Context, messages []broker.Received) error {
	s.commits.Lock()
	defer s.commits.Unlock()
	entries, err := s.entries(ctx, messages)
	if err != nil {
		return err
	}
	last := s.settle(entries)
	err = commit(ctx, s.client, s.group.Name, s.instance, func() []commitment { return s.commitments(last) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if !e.partition.lost { // those of a lost one are not counted any more
			e.partition.open--
			s.held--
		}
	}
	s.madeProgress()
	s.signal()
	if err != nil && s.gone != nil {
		return s.gone
	}
	if errors.Is(err, broker.ErrClosed) {
		return unavailable("the stream is closed")
	}
	return err
}

// entries looks up messages that are to be answered. All must be held.
func (s *stream) entries(ctx context.Context, messages []broker.Received) ([]*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return nil, s.gone
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries := make([]*entry, 0, len(messages))
	for i := range messages {
		e, ok := messages[i].Token.(*entry)
		switch {
		case !ok || !e.partition.lost && s.partitions[e.partition.place] != e.partition || e.state == acked:
			return nil, &kindError{broker.ErrInvalid, fmt.Errorf("message %s is not held by this stream", messages[i].Message.ID)}
		case e.partition.lost, e.state == dropped:
		default:
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// settle marks entries as handled, and gives for each partition the last one that can be committed now.
func (s *stream) settle(entries []*entry) map[*partition]*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := map[*partition]*entry{}
	for _, e := range entries {
		e.state = acked
		last[e.partition] = nil
	}
	for p := range last {
		before := len(p.entries)
		if last[p] = p.advance(); last[p] == nil {
			delete(last, p)
		} else if before >= s.farAhead() && len(p.entries) < s.farAhead() {
			s.client.ResumeFetchPartitions(p.asMap())
			s.line(p)
		}
	}
	return last
}

// commitments tells what is to be committed: of the partitions that the stream still has.
func (s *stream) commitments(last map[*partition]*entry) []commitment {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]commitment, 0, len(last))
	for p, e := range last {
		if !p.lost {
			all = append(all, commitment{topic: p.topic, id: s.topics[p.topic], partition: p.partition, offset: e.offset + 1, epoch: e.epoch})
		}
	}
	return all
}

// Release implements broker.Stream. Kafka has no way to give one message back, so this is the stream's goodbye: it takes
// no more, keeps the partitions where messages are still being handled, and leaves the others to the group.
func (s *stream) Release(ctx context.Context, messages []broker.Received, after time.Duration) error {
	if after != 0 {
		return fmt.Errorf("deliver again after a pause: %w", broker.ErrUnsupported)
	}
	entries, err := s.entries(ctx, messages)
	if err != nil || len(messages) == 0 {
		return err
	}
	s.mu.Lock()
	for _, e := range entries {
		s.drop(e)
	}
	s.leaving = true
	s.wary.Store(true)
	for _, p := range slices.Clone(s.fetched) {
		s.dropFetched(p)
	}
	s.stopWatching()
	s.signal()
	s.mu.Unlock()
	s.client.ForceRebalance()
	return nil
}
