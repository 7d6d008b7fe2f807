package redisbroker

import (
	"context"

	"github.com/redis/go-redis/v9"

	"lexigram.dev/events/broker"
)

const (
	// chunk bounds the messages of one transaction: the server does nothing else meanwhile.
	chunk = 500
	// trimEvery is after how many messages to a stream the publisher has it trimmed.
	trimEvery = 1000
)

// Publish implements broker.Backend. The messages of one topic, up to 500, are stored together or not at all; when they
// are not, those behind them are not sent.
func (b *Backend) Publish(ctx context.Context, messages []broker.Message) []error {
	done, errs := 0, []error(nil)
	for done < len(messages) && errs == nil {
		n := 1
		for done+n < len(messages) && n < chunk && messages[done+n].Topic == messages[done].Topic {
			n++
		}
		for i, err := range b.publish(ctx, messages[done:done+n]) {
			if err != nil {
				if errs == nil {
					errs = make([]error, len(messages))
				}
				errs[done+i] = err
			}
		}
		done += n
	}
	if errs != nil {
		first := errs[done-1]
		for i := done - 1; first == nil; i-- {
			first = errs[i]
		}
		for i := done; i < len(messages); i++ {
			errs[i] = first
		}
	}
	return errs
}

// publish sends messages of one topic, and gives the error of each; nil: all are confirmed.
func (b *Backend) publish(ctx context.Context, messages []broker.Message) []error {
	fail := func(err error) []error {
		errs := make([]error, len(messages))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if err := b.usable(ctx); err != nil {
		return fail(err)
	}
	topic := messages[0].Topic
	partitions, err := b.partitions(ctx, topic)
	if err != nil {
		return fail(err)
	}
	var (
		k    = b.keysOf(topic)
		full []int // streams to be trimmed
		add  = make([][]any, len(messages))
	)
	for i := range messages {
		m := &messages[i]
		n := partitionOf(m.Key, partitions)
		// The body is copied: the sending may go on after ctx has ended, when it is the caller's again.
		args := append(make([]any, 0, 11+2*len(m.Headers)), "xadd", k.stream(n, partitions), "*")
		add[i] = appendFields(args, m, append(make([]byte, 0, len(m.Body)), m.Body...))
		if b.counts(k.stream(n, partitions)) {
			full = append(full, n)
		}
	}
	var cmds []redis.Cmder
	err = b.during(ctx, func() (err error) {
		cmds, err = b.send(ctx, topic, add)
		return err
	})
	if err != nil && answer(err) == "" || cmds == nil {
		return fail(translate(ctx, err))
	}
	if err == nil {
		b.trim(ctx, k, full) // a fault shows again at the next time
		return nil
	}
	errs := make([]error, len(messages))
	for i, cmd := range cmds {
		if own := cmd.Err(); says(answer(own), "EXECABORT") {
			errs[i] = translate(ctx, reason(cmds, own))
		} else {
			errs[i] = translate(ctx, own)
		}
	}
	return errs
}

// reason finds why a transaction was not begun: the first command that was refused says it.
func reason(cmds []redis.Cmder, aborted error) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !says(answer(err), "EXECABORT") {
			return err
		}
	}
	return aborted
}

// send stores entries in one transaction, and waits for replicas where that is asked for.
func (b *Backend) send(ctx context.Context, topic string, add [][]any) ([]redis.Cmder, error) {
	if b.options.WaitReplicas == 0 {
		return store(ctx, b.client, add)
	}
	node, err := b.node(ctx, topic)
	if err != nil {
		return nil, err
	}
	conn := node.Conn() // WAIT is about the writes of its own connection
	defer func() { _ = conn.Close() }()
	cmds, err := store(ctx, conn, add)
	if err != nil {
		return cmds, err
	}
	confirmed, err := conn.Wait(ctx, b.options.WaitReplicas, b.options.WaitTimeout).Result()
	if err != nil || int(confirmed) < b.options.WaitReplicas {
		return nil, &ReplicationError{Confirmed: int(confirmed), Wanted: b.options.WaitReplicas, Err: err}
	}
	return cmds, nil
}

func store(ctx context.Context, client redis.Cmdable, add [][]any) ([]redis.Cmder, error) {
	pipe := client.TxPipeline()
	if len(add) == 1 {
		pipe = client.Pipeline()
	}
	for _, args := range add {
		pipe.Do(ctx, args...)
	}
	return pipe.Exec(ctx)
}

// partitions gives the number of a topic's partitions, and makes the topic where it is missing.
func (b *Backend) partitions(ctx context.Context, topic string) (int, error) {
	connects := b.connects.Load()
	b.mu.Lock()
	if b.known != connects { // perhaps a server that was restarted, and has lost its topics
		clear(b.topics)
		b.known = connects
	}
	n := b.topics[topic]
	b.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	n, err := b.runInt(ctx, b.scripts.topic, b.keysOf(topic), b.options.Partitions)
	if err != nil {
		return 0, err
	}
	if n < 1 || n > maxPartitions {
		return 0, errReply("topic %s has %d partitions", topic, n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == connects {
		b.topics[topic] = n
	}
	return n, nil
}

// counts counts a message to a stream, and tells when it is time to trim that.
func (b *Backend) counts(stream string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published[stream]++
	if b.published[stream] < trimEvery {
		return false
	}
	delete(b.published, stream)
	return true
}

// trim removes what nobody needs any more from streams. It is done again later when it fails.
func (b *Backend) trim(ctx context.Context, k keys, streams []int) {
	if len(streams) == 0 {
		return
	}
	args := []any{b.options.Retain, b.options.MaxLen, b.options.MaxAge.Milliseconds()}
	for _, n := range streams {
		args = append(args, n)
	}
	_, _ = b.run(ctx, b.scripts.trim, k, args...)
}
