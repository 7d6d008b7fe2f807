package redisbroker

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"lexigram.dev/events/broker"
)

// memberKey names a group on a topic.
type memberKey struct{ topic, group string }

// Consume implements broker.Backend.
func (b *Backend) Consume(ctx context.Context, g broker.Group, prefetch int) (broker.Stream, error) {
	counts, err := b.declare(ctx, g)
	if err != nil {
		return nil, err
	}
	s := &stream{
		b: b, group: g.Name, member: rand.Text(), prefetch: prefetch, held: map[*token]bool{}, ended: make(chan struct{}),
		began: time.Now(),
	}
	s.isOwned = func(any) bool { return s.owned() }
	for i, name := range g.Topics {
		s.topics = append(s.topics, &topic{name: name, keys: b.keysOf(name), partitions: counts[i]})
	}
	for i, t := range s.topics {
		if err := b.join(ctx, s, t); err != nil {
			s.topics = s.topics[:i+1] // it may have joined this one too
			s.lose(err)
			_ = s.leave()
			return nil, fmt.Errorf("topic %s: %w", t.name, err)
		}
	}
	s.until.Store(int64(b.options.Lease))
	if s.waiters, err = b.waiters(ctx, s.topics); err != nil { // nobody else knows the stream yet
		s.lose(err)
		_ = s.leave()
		return nil, translate(ctx, err)
	}
	b.mu.Lock()
	b.streams[s] = true
	b.mu.Unlock()
	if s.enter() {
		go s.live()
	}
	select {
	case <-b.closing: // it began while the stream was not yet known
		s.lose(broker.ErrClosed)
		_ = s.leave()
		return nil, broker.ErrClosed
	default:
	}
	return s, nil
}

// join makes the stream a member of its group on a topic. Members of this program that could not say that they leave are
// buried, so that nobody waits for the end of their leases.
func (b *Backend) join(ctx context.Context, s *stream, t *topic) error {
	key := memberKey{t.name, s.group}
	b.mu.Lock()
	dead := slices.Clone(b.gone[key])
	b.mu.Unlock()
	args := []any{s.group, s.member, b.options.Lease.Milliseconds()}
	for _, member := range dead {
		args = append(args, member)
	}
	if _, err := b.run(ctx, b.scripts.join, t.keys, args...); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone[key] = slices.DeleteFunc(b.gone[key], func(member string) bool { return slices.Contains(dead, member) })
	return nil
}

// live renews the lease and trims what was acknowledged, until the stream ends.
func (s *stream) live() {
	defer s.running.Done()
	every := s.b.options.Lease / 3
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-s.ended:
			return
		case <-ticker.C:
		}
		asked := time.Since(s.began)
		var err error
		for _, t := range s.topics {
			if _, err = s.ask(t, s.b.options.Lease, 0, 0); err != nil {
				break
			}
		}
		switch {
		case err == nil:
			s.until.Store(int64(asked + s.b.options.Lease))
			s.trim()
		case says(answer(err), errLost), !passes(err), !s.owned():
			s.lose(err)
			return
		}
	}
}

// trim has topics trimmed of which the member has acknowledged something.
func (s *stream) trim() {
	for _, t := range s.topics {
		if t.acked.Swap(0) == 0 {
			continue
		}
		all := make([]int, t.partitions+1)
		for n := range all {
			all[n] = n
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.b.options.Lease/3)
		s.b.trim(ctx, t.keys, all)
		cancel()
	}
}

// owned reports whether the lease holds for certain. Once it does not, the stream is lost: what it gave out is given to
// others.
func (s *stream) owned() bool {
	if time.Since(s.began) < time.Duration(s.until.Load()) && s.reason() == nil {
		return true
	}
	s.lose(&kindError{kind: broker.ErrUnavailable, err: fmt.Errorf("the lease of %v could not be renewed in time", s.b.options.Lease)})
	return false
}

// usable says why a call cannot be served.
func (s *stream) usable(ctx context.Context) error {
	if reason := s.reason(); reason != nil {
		return reason
	}
	return ctx.Err()
}

func (s *stream) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// enter counts a goroutine of the stream; false when it has ended.
func (s *stream) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return false
	}
	s.running.Add(1)
	return true
}

// lose ends the stream for a reason. The first one counts.
func (s *stream) lose(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone == nil {
		s.gone = reason
		close(s.ended)
		for _, w := range s.waiters {
			w.stop()
		}
	}
}

// Close implements broker.Stream.
func (s *stream) Close() error {
	s.lose(&kindError{kind: broker.ErrUnavailable, err: errClosedStream})
	return s.leave()
}

// leave ends the goroutines of a stream that was lost, and its membership, so that others get at once what it holds.
func (s *stream) leave() error {
	s.leaving.Do(func() {
		s.running.Wait()
		for _, w := range s.waiters {
			w.close()
		}
		s.b.mu.Lock()
		delete(s.b.streams, s)
		s.b.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		for _, t := range s.topics {
			_, err := s.b.run(ctx, s.b.scripts.leave, t.keys, s.group, s.member)
			if err == nil || says(answer(err), "NOGROUP") {
				continue
			}
			s.leftErr = err
			key := memberKey{t.name, s.group}
			s.b.mu.Lock()
			s.b.gone[key] = append(s.b.gone[key], s.member)
			s.b.mu.Unlock()
		}
	})
	return s.leftErr
}
