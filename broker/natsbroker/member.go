package natsbroker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"lexigram.dev/events/broker"
)

// membership is a stream's part in one topic: its place in the ledger, and its sources.
type membership struct {
	s       *stream
	topic   string
	key     string
	sources []*source // that of messages without a key, then the partitions
	sub     *nats.Subscription
	renewed atomic.Int64 // when the ledger had us last, in ns since the stream began; 0: never
	shape   atomic.Pointer[ledger]

	observer *observer      // the keeper's own, as all that follows
	given    map[int]string // partitions to be given up with the next change of the ledger, by the name of their drift
}

// casAttempts bounds how often a change of the ledger is tried when others change it at the same time.
const casAttempts = 20

func newMembership(s *stream, group, topic string) *membership {
	m := &membership{s: s, topic: topic, key: ledgerKey(group, topic), observer: newObserver(s.id, s.b.lease, s.third+s.third/3), given: map[int]string{}}
	for p := anyPartition; p < s.b.partitions; p++ {
		m.sources = append(m.sources, newSource(m, group, p))
	}
	return m
}

// valid reports whether the partitions are surely ours: others take them long after.
func (m *membership) valid(now time.Time) bool {
	at := m.renewed.Load()
	return at > 0 && now.Sub(m.s.began)-time.Duration(at) < m.s.third
}

// owns is valid for a message that is to be handled. Where it is refused, the stream is over: the message would have to
// come again before those behind it, also when the next renewal succeeds.
func (m *membership) owns() bool {
	if m.valid(time.Now()) {
		return true
	}
	m.s.lose(unavailable("the lease was not renewed in time"))
	return false
}

// join enters the ledger, takes what is free, and begins to listen.
func (m *membership) join(ctx context.Context) error {
	sub, err := m.s.b.conn.Subscribe("$KV."+bucketName(m.s.b.options.Stream)+"."+m.key, m.changed)
	if err != nil {
		return translate(ctx, err)
	}
	m.sub = sub
	m.sources[0].state = active
	return m.keep(ctx)
}

// changed hears of a change of the ledger. It may not have been made, so it only says that it is time to look.
func (m *membership) changed(msg *nats.Msg) {
	var now ledger
	if before := m.shape.Load(); json.Unmarshal(msg.Data, &now) == nil && before != nil && !before.sameShape(&now) {
		m.s.nudge()
	}
}

// keep shows that the member lives, gives up and takes partitions, and does what follows from it.
func (m *membership) keep(ctx context.Context) error {
	if err := m.resume(); err != nil {
		return translate(ctx, err)
	}
	var (
		taken   []int
		tooMuch int
		lost    bool
		drains  = m.drains()
	)
	begun := time.Now()
	err := m.change(ctx, func(l *ledger) {
		taken, tooMuch, lost = nil, 0, false
		begun = time.Now()
		for p, name := range m.given {
			l.give(m.s.id, p, name)
		}
		for _, p := range m.holds() {
			lost = lost || m.given[p] == "" && !l.holds(m.s.id, p)
		}
		if drains && len(m.holds()) == 0 {
			delete(l.Members, m.s.id)
			return
		}
		l.renew(m.s.id)
		if !drains && !lost {
			taken, tooMuch = l.take(m.s.id, m.s.b.partitions)
		}
	})
	if err != nil {
		return err
	}
	if lost {
		return unavailable("another member has taken what this one held: it gave no sign of life in time")
	}
	m.renewed.Store(max(1, begun.Sub(m.s.began).Nanoseconds()))
	m.s.mu.Lock()
	for p := range m.given {
		m.source(p).state = idle
	}
	clear(m.given)
	for _, p := range taken {
		m.source(p).state = taking
	}
	m.s.takes += len(taken)
	m.s.mu.Unlock()
	if err := m.take(ctx, taken); err != nil {
		return err
	}
	m.drain(ctx, tooMuch, drains)
	return nil
}

func (m *membership) source(partition int) *source { return m.sources[partition-anyPartition] }

func (m *membership) drains() bool {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	return m.s.drains
}

// holds lists the partitions that this member has, by what it knows.
func (m *membership) holds() []int {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	var held []int
	for _, src := range m.sources[1:] {
		if _, given := m.given[src.partition]; src.state != idle && !given {
			held = append(held, src.partition)
		}
	}
	return held
}

// resume listens where a member that gave everything up goes on.
func (m *membership) resume() error {
	for _, src := range m.sources {
		m.s.mu.Lock()
		deaf := src.state == active && src.sub == nil && !m.s.drains
		m.s.mu.Unlock()
		if !deaf {
			continue
		}
		if err := src.listen(); err != nil {
			return err
		}
	}
	return nil
}

// take begins with partitions.
func (m *membership) take(ctx context.Context, partitions []int) error {
	var (
		taking sync.WaitGroup
		errs   = make([]error, len(partitions))
	)
	for i, p := range partitions {
		taking.Go(func() { errs[i] = m.source(p).take(ctx) })
	}
	taking.Wait()
	m.s.mu.Lock()
	m.s.takes -= len(partitions)
	m.s.ask(false)
	m.s.mu.Unlock()
	for _, err := range errs {
		if err != nil {
			err = translate(ctx, err)
			m.s.lose(err) // nobody would try it again: the partition would stand still
			return err
		}
	}
	return nil
}

// drain begins to give up partitions, those first that hold the least, and notes those of which nothing is held any more.
func (m *membership) drain(ctx context.Context, n int, all bool) {
	m.s.mu.Lock()
	byHeld := slices.Clone(m.sources[1:])
	slices.SortStableFunc(byHeld, func(a, b *source) int { return cmp.Compare(a.held, b.held) })
	for _, src := range byHeld {
		if src.state == draining {
			n--
		}
	}
	for _, src := range byHeld {
		if src.state == active && (all || n > 0) {
			src.state = draining
			n--
		}
	}
	m.s.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, m.s.third)
	defer cancel()
	var ending sync.WaitGroup
	for _, src := range byHeld {
		m.s.mu.Lock()
		ends := src.state == draining
		m.s.mu.Unlock()
		if ends {
			ending.Go(func() { src.endAsking(limited) })
		}
	}
	ending.Wait()
	if err := m.s.giveBack(ctx, func(t *token) bool { return t.source.m == m && t.source.state == draining && !t.out }); err != nil {
		return // the keeper comes again
	}
	for _, src := range byHeld {
		m.s.mu.Lock()
		ready := src.state == draining && src.held == 0
		m.s.mu.Unlock()
		if ready {
			m.given[src.partition] = m.drift(src.settled(ctx))
			m.s.nudge()
		}
	}
}

// drift names the drift of a partition that is given up; "": it is settled.
func (m *membership) drift(settled bool) string {
	if settled {
		return ""
	}
	return nuid.Next()
}

// leave gives up all partitions and leaves the ledger. All was given back, or not.
func (m *membership) leave(ctx context.Context, all bool) {
	var (
		settling sync.WaitGroup
		mu       sync.Mutex
	)
	for _, p := range m.holds() {
		settling.Go(func() {
			name := m.drift(all && m.source(p).settled(ctx))
			mu.Lock()
			defer mu.Unlock()
			m.given[p] = name
		})
	}
	settling.Wait()
	_ = m.change(ctx, func(l *ledger) { // else the lease runs out
		for p, name := range m.given {
			l.give(m.s.id, p, name)
		}
		delete(l.Members, m.s.id)
	})
}

func (m *membership) forget() {
	if m.sub != nil {
		_ = m.sub.Unsubscribe()
	}
}

// change changes the ledger by compare-and-set.
func (m *membership) change(ctx context.Context, f func(l *ledger)) error {
	b := m.s.b
	var last error
	for range casAttempts {
		err := b.call(ctx, bucketName(b.options.Stream), func(ctx context.Context) error {
			var (
				l        ledger
				revision uint64
			)
			entry, err := m.s.bucket.Get(ctx, m.key)
			switch {
			case err == nil:
				if err := json.Unmarshal(entry.Value(), &l); err != nil {
					return refused("the record %s of members is malformed: %w", m.key, err)
				}
				revision = entry.Revision()
			case !errors.Is(err, jetstream.ErrKeyNotFound):
				return err
			}
			m.observer.look(&l, time.Now())
			f(&l)
			value, err := json.Marshal(&l)
			if err != nil {
				return err
			}
			if revision == 0 {
				_, err = m.s.bucket.Create(ctx, m.key, value)
			} else {
				_, err = m.s.bucket.Update(ctx, m.key, value, revision)
			}
			if err == nil {
				m.shape.Store(&l)
			}
			return err
		})
		if !isConflict(err) {
			return err
		}
		last = err
	}
	return unavailable("the record %s of members changes all the time: %w", m.key, last)
}

func isConflict(err error) bool {
	var answer *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &answer) &&
		(answer.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || answer.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// keep looks after a stream until ctx ends: the ledgers, and the time limits of what it holds.
func (s *stream) keep(ctx context.Context) {
	ticker := time.NewTicker(s.third / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case <-ticker.C:
		case <-s.wake:
		}
		var topics sync.WaitGroup
		for _, m := range s.topics {
			topics.Go(func() {
				err := m.keep(ctx)
				if err != nil && ctx.Err() == nil && (!errors.Is(err, broker.ErrUnavailable) || !m.valid(time.Now())) {
					s.lose(err)
				}
			})
		}
		topics.Wait()
		s.prolong()
	}
}

// prolong tells the server that the member still works on what it holds, and asks again where a request was forgotten.
func (s *stream) prolong() {
	s.mu.Lock()
	now := time.Now()
	var held []*token
	for _, t := range s.held {
		if now.Sub(t.fresh) > s.third/6 {
			held = append(held, t)
		}
	}
	slices.SortFunc(held, func(a, b *token) int { return cmp.Compare(a.place, b.place) })
	replies := make([]string, len(held))
	for i, t := range held {
		replies[i], t.fresh = t.reply, now
	}
	for _, src := range s.sources {
		if src.want > 0 && now.After(src.until) {
			src.noWant()
		}
	}
	s.ask(true)
	s.mu.Unlock()
	for _, reply := range replies {
		if err := s.b.conn.Publish(reply, []byte("+WPI")); err != nil {
			return // a lost connection ends the stream
		}
	}
}
