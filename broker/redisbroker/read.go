package redisbroker

import (
	"time"

	"lexigram.dev/events/broker"
)

// answered is an answer of take.lua.
type answered struct {
	messages []broker.Received
	waits    waits
	draining bool // partitions are to be given up as soon as they are answered
}

// decode reads an answer of take.lua, and what was read of rich streams before it.
func (s *stream) decode(t *topic, read, reply any, taking bool) (a answered, err error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 5 {
		return a, errReply("%T in place of messages", reply)
	}
	drains, _ := parts[0].(int64)
	a.draining = drains == 1
	places, _ := parts[1].([]any)
	for _, p := range places {
		text, ok := p.(string)
		if !ok {
			return a, errReply("a %T in place of a key or id", p)
		}
		a.waits.places = append(a.waits.places, text)
	}
	pause, _ := parts[2].(int64)
	a.waits.pause = time.Duration(pause) * time.Millisecond
	if !taking {
		return a, nil
	}
	undone := map[int]bool{}
	numbers, _ := parts[4].([]any)
	for _, n := range numbers {
		number, _ := n.(int64)
		undone[int(number)] = true
	}
	streams := entriesByStream(read)
	were := t.rich
	t.rich = map[int]string{} // a stream that is still rich is added again
	for n := range were {
		if undone[n] {
			continue
		}
		entries, _ := streams[t.keys.stream(n, t.partitions)].([]any)
		if err := s.add(&a, t, n, entries, nil); err != nil {
			return a, err
		}
	}
	found, _ := parts[3].([]any)
	for i := 0; i+2 < len(found); i += 3 {
		number, _ := found[i].(int64)
		entries, _ := found[i+1].([]any)
		counts, _ := found[i+2].([]any)
		if err := s.add(&a, t, int(number), entries, counts); err != nil {
			return a, err
		}
	}
	return a, nil
}

// entriesByStream gives the answer of XREADGROUP by the streams' keys: it is a map, or a list of pairs in the older
// protocol; nil: nothing was read.
func entriesByStream(read any) map[any]any {
	if m, ok := read.(map[any]any); ok {
		return m
	}
	pairs, _ := read.([]any)
	m := make(map[any]any, len(pairs))
	for _, p := range pairs {
		if pair, ok := p.([]any); ok && len(pair) == 2 {
			m[pair[0]] = pair[1]
		}
	}
	return m
}

// add adds entries of a stream, with the counts of their deliveries; without those they are new.
func (s *stream) add(a *answered, t *topic, number int, entries, counts []any) error {
	id := ""
	for i, e := range entries {
		pair, ok := e.([]any)
		if !ok || len(pair) != 2 {
			return errReply("%T in place of an entry", e)
		}
		id, _ = pair[0].(string)
		fields, _ := pair[1].([]any)
		m, err := decode(t.name, id, fields)
		if err != nil {
			return err
		}
		deliveries := 1
		if len(counts) > i {
			n, _ := counts[i].(int64)
			deliveries = int(n)
		}
		a.messages = append(a.messages, broker.Received{
			Message: m, Deliveries: deliveries, Owned: s.isOwned,
			Token: &token{topic: t, number: number, id: id, deliveries: deliveries},
		})
	}
	if len(counts) == 0 && len(entries) >= rich {
		t.rich[number] = id
	}
	return nil
}

// hold notes what was given out.
func (s *stream) hold(messages []broker.Received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range messages {
		s.held[messages[i].Token.(*token)] = true
	}
}
