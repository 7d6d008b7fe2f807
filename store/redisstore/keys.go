package redisstore

import (
	"strconv"

	"lexigram.dev/events/event"
)

// pageEvents is how many positions are in one page of the log. The scripts know it too.
const pageEvents = 1024

// keys names the keys of a store.
type keys struct {
	prefix string // "{name}:"
	meta, ids, cut, names, expiry,
	pages, streams, categories, types, tags, values, order, // each is followed by a name
	channel string
}

func keysOf(name string) keys {
	p := "{" + name + "}:"
	return keys{
		prefix: p,
		meta:   p + "meta", ids: p + "ids", cut: p + "cut", names: p + "names", expiry: p + "expiry",
		pages: p + "e:", streams: p + "s:", categories: p + "c:", types: p + "t:", tags: p + "g:", values: p + "r:", order: p + "k:",
		channel: p + "grown",
	}
}

func (k *keys) stream(s event.StreamID) string { return k.streams + string(s) }

func (k *keys) page(n int64) string { return k.pages + strconv.FormatInt(n, 10) }
