package redisbroker

import (
	"time"

	"lexigram.dev/events/broker"
)

// read reads an answer of take.lua: messages, which the stream then holds, or where to wait; and whether partitions are to
// be given up.
func (s *stream) read(t *topic, answer any) (messages []broker.Received, w waits, draining bool, err error) {
	parts, ok := answer.([]any)
	if !ok || len(parts) != 4 {
		return nil, waits{}, false, errReply("%T in place of messages", answer)
	}
	drains, _ := parts[0].(int64)
	places, _ := parts[1].([]any)
	for _, p := range places {
		text, ok := p.(string)
		if !ok {
			return nil, waits{}, false, errReply("a %T in place of a key or id", p)
		}
		w.places = append(w.places, text)
	}
	pause, _ := parts[2].(int64)
	w.pause = time.Duration(pause) * time.Millisecond
	found, _ := parts[3].([]any)
	for i := 0; i+2 < len(found); i += 3 {
		number, _ := found[i].(int64)
		entries, _ := found[i+1].([]any)
		counts, _ := found[i+2].([]any)
		for j, e := range entries {
			deliveries := 1
			if len(counts) > j {
				n, _ := counts[j].(int64)
				deliveries = int(n)
			}
			m, id, err := entryOf(t, e)
			if err != nil {
				return nil, waits{}, false, err
			}
			messages = append(messages, broker.Received{
				Message: m, Deliveries: deliveries, Owned: s.owned,
				Token: &token{topic: t, number: int(number), id: id, deliveries: deliveries},
			})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range messages {
		s.held[messages[i].Token.(*token)] = true
	}
	return messages, w, drains == 1, nil
}

// entryOf reads an entry: its id, and its fields.
func entryOf(t *topic, entry any) (broker.Message, string, error) {
	pair, ok := entry.([]any)
	if !ok || len(pair) != 2 {
		return broker.Message{}, "", errReply("%T in place of an entry", entry)
	}
	id, _ := pair[0].(string)
	fields, _ := pair[1].([]any)
	m, err := decode(t.name, id, fields)
	return m, id, err
}
