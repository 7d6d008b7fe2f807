package natsbroker

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

type sourceState uint8

const (
	idle     sourceState = iota // not held
	taking                      // held now: what was under way at the former holder is gathered first
	active                      // messages are asked for
	draining                    // to be given up once what is held is answered
)

// source is a durable consumer of the group: of a partition, which one member at a time may ask, or of the messages
// without a key, which all may. The stream's lock guards it.
type source struct {
	s         *stream
	m         *membership
	partition int
	consumer  string
	next      string               // where messages are asked for
	owned     func(token any) bool // see broker.Received; nil: always

	state sourceState
	sub   *nats.Subscription
	inbox string
	over  chan struct{} // closed when sub has given all it has

	want    int       // of what was asked for, not come yet
	until   time.Time // when the server has forgotten the request
	rest    time.Time // no request before that: the server could not serve the last one
	pending uint64    // messages that wait at the server, as far as known
	held    int
	last    uint64 // the number of the last delivery: one more each, so that a gap is one that was lost

	gathered []*token // in state taking
	complete chan struct{}
}

const restPause = 100 * time.Millisecond

func newSource(m *membership, group string, partition int) *source {
	src := &source{s: m.s, m: m, partition: partition, consumer: consumerName(group, m.topic, partition)}
	src.next = "$JS.API.CONSUMER.MSG.NEXT." + m.s.b.options.Stream + "." + src.consumer
	if partition != anyPartition {
		src.owned = func(any) bool { return m.owns() }
	}
	return src
}

// listen makes the inbox that messages come to.
func (src *source) listen() error {
	inbox, over := src.s.b.conn.NewInbox(), make(chan struct{})
	sub, err := src.s.b.conn.Subscribe(inbox, src.receive)
	if err != nil {
		return err
	}
	sub.SetClosedHandler(func(string) { close(over) })
	if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by what is asked for
		return err
	}
	src.s.mu.Lock()
	defer src.s.mu.Unlock()
	src.sub, src.inbox, src.over = sub, inbox, over
	return nil
}

// endAsking makes the server forget what was asked for, and waits until what was on its way has come.
func (src *source) endAsking(ctx context.Context) {
	src.s.mu.Lock()
	sub, over := src.sub, src.over
	src.sub = nil
	src.noWant()
	src.s.mu.Unlock()
	if sub == nil {
		return
	}
	if err := sub.Drain(); err != nil {
		_ = sub.Unsubscribe()
		return
	}
	select {
	case <-over:
	case <-ctx.Done():
		_ = sub.Unsubscribe()
	}
}

// noWant forgets what was asked for. The lock is held.
func (src *source) noWant() {
	src.s.less(src.want)
	src.want = 0
}

// receive takes what comes to the inbox: a message, or why there is none.
func (src *source) receive(m *nats.Msg) {
	s := src.s
	if m.Reply == "" {
		src.told(m.Header.Get(statusHeader), m.Header.Get("Description"))
		return
	}
	meta, err := m.Metadata()
	if err != nil {
		return // not from JetStream
	}
	message := s.b.decode(m, meta)
	s.mu.Lock()
	defer s.mu.Unlock()
	if src.want > 0 {
		src.want--
		s.less(1)
	}
	src.pending = meta.NumPending
	if src.partition != anyPartition {
		if meta.Sequence.Consumer != src.last+1 && s.gone == nil {
			s.loseLocked(unavailable("a delivery of consumer %s was lost on its way", src.consumer))
		}
		src.last = max(src.last, meta.Sequence.Consumer)
	}
	if t := s.held[meta.Sequence.Stream]; t != nil { // the server took our silence for death; it is not
		t.reply, t.fresh = m.Reply, time.Now()
		if src.state == taking && src.want == 0 {
			signal(src.complete)
		}
		s.ask(false)
		return
	}
	t := &token{
		source: src, place: meta.Sequence.Stream, reply: m.Reply, message: message, fresh: time.Now(),
		deliveries: int(meta.NumDelivered), //nolint:gosec // G115: a count of deliveries
	}
	s.held[t.place] = t
	src.held++
	if src.state == taking {
		src.gathered = append(src.gathered, t)
		if src.want == 0 {
			signal(src.complete)
		}
		return
	}
	s.found = true
	s.queue = append(s.queue, t)
	signal(s.arrived)
	s.ask(false)
}

// told takes the end of a request.
func (src *source) told(status, description string) {
	s := src.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch status {
	case "100":
		return
	case "404", "408":
		if src.want > 0 {
			src.pending = 0
		}
	case "409":
		if description == "Consumer Deleted" {
			s.loseLocked(unavailable("consumer %s was removed", src.consumer))
		}
		src.rest = time.Now().Add(restPause)
	default:
		src.rest = time.Now().Add(restPause)
	}
	src.noWant()
	if src.state == taking {
		signal(src.complete)
		return
	}
	s.ask(false)
}

// request asks the server for n messages: those that are there, or those that come. The lock is held.
func (src *source) request(n int, wait bool) {
	s := src.s
	body := `{"batch":` + strconv.Itoa(n)
	if wait {
		body += `,"expires":` + strconv.FormatInt(s.third.Nanoseconds(), 10) + `}`
	} else {
		body += `,"no_wait":true}`
	}
	if err := s.b.conn.PublishRequest(src.next, src.inbox, []byte(body)); err != nil {
		src.rest = time.Now().Add(restPause)
		return
	}
	src.want = n
	src.until = time.Now().Add(s.third + s.third/2)
	s.outstanding += n
}

// take gathers what the former holder of a partition has left, in order, before anything that is new: all for which the
// server waits for an answer, also what it comes to deliver again only a moment later.
func (src *source) take(ctx context.Context) error {
	s := src.s
	ctx, cancel := context.WithTimeoutCause(ctx, s.third, unavailable("consumer %s gives no answer for %v", src.consumer, s.third))
	defer cancel()
	info, err := s.b.consumerInfo(ctx, src.consumer)
	if err != nil {
		return err
	}
	if err := src.listen(); err != nil {
		return err
	}
	s.mu.Lock()
	src.last, src.pending, src.complete = info.Delivered.Consumer, info.NumPending, make(chan struct{}, 1)
	answered := s.answered
	s.mu.Unlock()
	if answered != nil { // the room that was asked for elsewhere is needed now
		select {
		case <-answered:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for pause := time.Millisecond; ; pause *= 2 {
		missing, err := src.gather(ctx, info.NumAckPending)
		if err != nil {
			return err
		}
		if missing == 0 {
			break
		}
		if info, err = s.b.consumerInfo(ctx, src.consumer); err != nil {
			return err
		}
		select {
		case <-time.After(min(pause, s.third/8)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.mu.Lock()
	slices.SortFunc(src.gathered, func(a, b *token) int { return cmp.Compare(a.place, b.place) })
	room := max(0, s.prefetch-len(s.held)-s.outstanding+len(src.gathered))
	var excess []*token
	if len(src.gathered) > room {
		excess = slices.Clone(src.gathered[room:])
	}
	s.queue = append(s.queue, src.gathered[:len(src.gathered)-len(excess)]...)
	if len(src.gathered) > 0 {
		signal(s.arrived)
	}
	src.gathered = nil
	s.mu.Unlock()
	if len(excess) > 0 { // more than we may hold: the server keeps the order in which they go back
		if err := s.answer(ctx, excess, []byte("-NAK")); err != nil {
			return err
		}
		s.drop(excess)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	src.state = active
	s.ask(false)
	return nil
}

// gather asks for what is to be delivered again, of so many messages that wait for an answer, and tells how many of them
// have not come yet.
func (src *source) gather(ctx context.Context, unanswered int) (missing int, err error) {
	s := src.s
	s.mu.Lock()
	if missing = unanswered - len(src.gathered); missing > 0 && src.want == 0 {
		src.request(missing, false)
	}
	asked := src.want > 0
	s.mu.Unlock()
	if asked {
		select {
		case <-src.complete:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, unanswered-len(src.gathered)), nil
}

// settled reports whether nothing is on its way to the source, whose inbox is gone: the server has forgotten what was asked
// for, and has delivered no more than what has come.
func (src *source) settled(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, src.s.third/4)
	defer cancel()
	for pause := time.Millisecond; ; pause *= 2 {
		info, err := src.s.b.consumerInfo(ctx, src.consumer)
		if err != nil {
			return false
		}
		src.s.mu.Lock()
		last := src.last
		src.s.mu.Unlock()
		if info.NumWaiting == 0 {
			return info.Delivered.Consumer == last
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}
