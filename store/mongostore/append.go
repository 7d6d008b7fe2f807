package mongostore

import (
	"context"

	"lexigram.dev/events/store"
)

// Append implements store.Log.
func (b *Backend) Append(ctx context.Context, c store.Commit) (store.Result, error) {
	if err := b.writable(ctx); err != nil {
		return store.Result{}, err
	}
	if size := bytesOf(&c); size > b.server.maxBytes {
		return store.Result{}, tooLarge("size of the commit", size, b.server.maxBytes)
	}
	b.writer.start()
	return b.writer.queue.Submit(ctx, c)
}

// bytesOf is less than what the commit takes as a document: a commit that fails by it need not be encoded to be refused.
func bytesOf(c *store.Commit) int {
	size := 0
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			size += len(c.Appends[i].Events[j].Data)
		}
	}
	return size
}
