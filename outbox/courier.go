package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"lexigram.dev/events/broker"
)

// parcel is what is published as one: the messages of an event, or one message of a table.
type parcel struct {
	lane     string // what keeps its order; "": it stands for itself
	messages []broker.Message

	tries int // that have failed, and may be its fault
	sent  bool
	err   error // why it was not sent by the last attempt
	fate  fate  // what err means
}

// fate is what becomes of a parcel that was not sent.
type fate uint8

const (
	fateOutage  fate = iota // nothing is wrong with it: the broker is to blame, or one before it in its lane
	fateRetry               // it may be to blame
	fateRefused             // it is to blame, and another attempt will not cure that
)

// fateOf tells the broker's faults from those of a message.
func fateOf(err error) fate {
	switch {
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, broker.ErrFull), errors.Is(err, broker.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fateOutage
	case errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrTooLarge), errors.Is(err, broker.ErrRefused), errors.Is(err, broker.ErrUnsupported):
		return fateRefused
	default:
		return fateRetry
	}
}

// courier publishes parcels. It is safe for concurrent use.
type courier struct {
	broker  *broker.Broker
	timeout time.Duration // of one attempt
}

// attempt publishes what is not sent yet, all at once, and notes what became of each. A parcel whose earlier neighbour in
// the lane may still be sent does not count as sent, whatever the broker says: it is published again behind that one. Behind
// one that has failed before it is not published at all. It returns the broker's fault, if there is one.
func (c *courier) attempt(ctx context.Context, parcels []*parcel) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var (
		open     []*parcel
		messages []broker.Message
		probed   = map[string]bool{} // lanes of which one has failed before
	)
	for _, p := range parcels {
		if p.sent || p.err != nil && p.fate == fateRefused {
			continue
		}
		if probed[p.lane] {
			p.err, p.fate = errBehind, fateOutage
			continue
		}
		p.err = nil
		for _, m := range p.messages {
			if err := c.broker.Check(m); err != nil {
				p.err, p.fate = err, fateRefused
				break
			}
		}
		if p.err == nil {
			open = append(open, p)
			messages = append(messages, p.messages...)
			probed[p.lane] = p.tries > 0 && p.lane != ""
		}
	}
	failed, outage := c.publish(ctx, messages)
	blocked := map[string]bool{}
	first := 0
	for _, p := range open {
		for i := range p.messages {
			if err := failed[first+i]; err != nil && (p.err == nil || fateOf(err) > p.fate) {
				p.err, p.fate = err, fateOf(err)
			}
		}
		first += len(p.messages)
		switch {
		case blocked[p.lane]:
			p.fate = fateOutage
			if p.err == nil {
				p.err = errBehind
			}
		case p.err == nil:
			p.sent = true
		}
		if p.err != nil && p.fate != fateRefused && p.lane != "" {
			blocked[p.lane] = true
		}
	}
	return outage
}

var errBehind = errors.New("a message before it in its order is not sent")

// publish gives the error of each message that is not confirmed, by its place. outage is set when the broker is to blame;
// then it is not asked for more.
func (c *courier) publish(ctx context.Context, messages []broker.Message) (failed map[int]error, outage error) {
	failed = map[int]error{}
	for first := 0; first < len(messages); {
		end := min(first+c.broker.Limits().MaxMessages, len(messages))
		var partly *broker.PublishError
		switch err := c.broker.Publish(ctx, messages[first:end]...); {
		case err == nil:
		case errors.As(err, &partly):
			for _, f := range partly.Failed {
				failed[first+f.Index] = f.Err
				if fateOf(f.Err) == fateOutage {
					outage = err
				}
			}
		default:
			outage = err
			for i := first; i < end; i++ {
				failed[i] = err
			}
		}
		if first = end; outage != nil {
			for i := first; i < len(messages); i++ {
				failed[i] = outage
			}
			break
		}
	}
	return failed, outage
}

// weather tells of the broker's faults over several attempts. It is safe for concurrent use.
type weather struct {
	mu    sync.Mutex
	since time.Time // of the first of the failures in a row; zero: the last attempt went well
	last  error
}

// note takes the outcome of an attempt.
func (w *weather) note(err error, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.since, w.last = time.Time{}, nil
		return
	}
	if w.last == nil {
		w.since = now
	}
	w.last = err
}

// Outage is a fault that is waited out.
type Outage struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}

func (w *weather) outage() (*Outage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		return nil, nil
	}
	return &Outage{Since: w.since, Error: w.last.Error()}, w.last
}
