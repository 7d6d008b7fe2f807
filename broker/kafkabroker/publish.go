package kafkabroker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"lexigram.dev/events/broker"
)

// Publish implements broker.Backend. A message that is not confirmed within Options.PublishTimeout may still arrive; so
// may one whose context has ended. One that is published again then comes behind it.
func (b *Backend) Publish(ctx context.Context, messages []broker.Message) []error {
	p := &publishing{errs: make([]error, len(messages)), answered: make([]bool, len(messages)), left: len(messages)}
	if err := b.check(ctx); err != nil {
		return p.fail(err)
	}
	missing := b.ensureTopics(ctx, topicsOf(messages)...)
	// The client drops what it cannot send when this ends. Not the caller's context: the client would drop all that waits
	// in the partition with it, also what others publish. It ends when all is answered, also after this call.
	p.patience, p.cancel = context.WithTimeout(context.Background(), b.o.PublishTimeout)
	b.send(ctx, p, messages, missing)
	select {
	case <-p.patience.Done():
		return p.fail(&kindError{broker.ErrUnavailable, errNoAnswer}) // those that are not answered, if any
	case <-b.closing:
		return p.fail(broker.ErrClosed)
	case <-ctx.Done():
		return p.fail(ctx.Err())
	}
}

var errNoAnswer = errors.New("the broker has not confirmed it in time")

// send gives the messages to the client, one after the other.
func (b *Backend) send(ctx context.Context, p *publishing, messages []broker.Message, missing map[string]error) {
	size := 1 // never empty: a record without a value is a deletion
	for i := range messages {
		size += len(messages[i].Key) + len(messages[i].Body)
	}
	var (
		records = make([]kgo.Record, len(messages))
		buf     = make([]byte, 0, size)
		now     = time.Now()
	)
	for i := range messages {
		m := &messages[i]
		if err := missing[m.Topic]; err != nil {
			p.answer(i, err)
			continue
		}
		cost := len(m.Key) + len(m.Body) + recordOverhead/32
		if !b.buffer.take(ctx, p.patience, b.closing, cost) {
			return // Publish sees why
		}
		records[i], buf = newRecord(m, now, buf)
		b.client.Produce(p.patience, &records[i], func(r *kgo.Record, err error) {
			b.buffer.free(cost)
			if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
				b.known.Delete(r.Topic) // it was deleted: the next Publish makes it again, or is refused
			}
			if errors.Is(err, context.DeadlineExceeded) {
				err = &kindError{broker.ErrUnavailable, errNoAnswer}
			}
			p.answer(i, translate(context.Background(), err))
		})
	}
}

func topicsOf(messages []broker.Message) []string {
	var topics []string
	for i := range messages {
		if t := messages[i].Topic; (i == 0 || t != messages[i-1].Topic) && !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	return topics
}

// publishing is one call of Publish.
type publishing struct {
	mu       sync.Mutex
	errs     []error
	answered []bool
	left     int
	failed   bool            // one of errs is set
	patience context.Context // ends when all are answered, or with Options.PublishTimeout
	cancel   context.CancelFunc
}

// answer notes what became of a message.
func (p *publishing) answer(i int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.answered[i] { // else the call has ended before
		p.answered[i] = true
		if err != nil {
			p.errs[i], p.failed = err, true
		}
	}
	if p.left--; p.left == 0 {
		p.cancel()
	}
}

// fail gives the results with a reason for those that have none.
func (p *publishing) fail(reason error) []error {
	p.mu.Lock()
	for i, answered := range p.answered {
		if !answered {
			p.answered[i] = true
			p.errs[i], p.failed = reason, true
		}
	}
	p.mu.Unlock()
	return p.results()
}

func (p *publishing) results() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.failed {
		return nil
	}
	return p.errs
}
