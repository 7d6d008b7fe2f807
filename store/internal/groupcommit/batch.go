package groupcommit

import (
	"time"

	"lexigram.dev/events/event"
)

// Batch is the requests of one transaction, in the order in which they came, or in that of Options.ByStream.
type Batch struct {
	Requests []*Request
	Events   int // of all requests together

	queue   *Queue
	began   time.Time
	initial int // number of requests when it was formed
}

// Release says that the driver does not read the commits any more (it has copied them into its buffers), so a caller
// whose context ends need not wait for the answer.
func (b *Batch) Release() {
	b.queue.mu.Lock()
	defer b.queue.mu.Unlock()
	for _, r := range b.Requests {
		if r.state == held {
			r.state = released
		}
	}
	b.queue.left.Broadcast()
}

// Hold takes the commits back for reading, after Release, and drops the requests whose callers have left. The driver
// needs it before it looks into a commit again, say to find out what became of it after a lost connection.
func (b *Batch) Hold() {
	b.queue.mu.Lock()
	defer b.queue.mu.Unlock()
	kept := b.Requests[:0]
	b.Events = 0
	for _, r := range b.Requests {
		if r.state == abandoned {
			continue
		}
		r.state = held
		kept = append(kept, r)
		b.Events += r.events
	}
	b.Requests = kept
}

// former collects the requests of one batch under the rules of its queue.
type former struct {
	options  Options
	batch    []*Request
	events   int
	bytes    int
	deferred map[event.StreamID]bool // streams whose turn comes in a later batch, to keep their order
	streams  map[event.StreamID]bool // streams that the batch appends to
}

// full reports whether nothing more fits.
func (f *former) full() bool {
	return len(f.batch) >= f.options.MaxRequests || f.events >= f.options.MaxEvents || f.bytes >= f.options.MaxBytes
}

// take adds the request, unless it must wait for a later batch.
func (f *former) take(r *Request) bool {
	if len(f.batch) > 0 && (f.events+r.events > f.options.MaxEvents || f.bytes+r.bytes > f.options.MaxBytes) {
		f.postpone(r)
		return false
	}
	if f.options.Independent && !f.independent(r) {
		f.postpone(r)
		return false
	}
	f.batch = append(f.batch, r)
	f.events += r.events
	f.bytes += r.bytes
	if f.options.Independent {
		for i := range r.Commit.Appends {
			f.streams[r.Commit.Appends[i].Stream] = true
		}
	}
	return true
}

func (f *former) postpone(r *Request) {
	if !f.options.Independent {
		return
	}
	for i := range r.Commit.Appends {
		f.deferred[r.Commit.Appends[i].Stream] = true
	}
}

// independent reports whether the request's checks come out the same before and after the batch's other requests: it
// shares no stream with them, save that an append that expects any version may follow another one; and none of their
// events is one that its condition forbids.
func (f *former) independent(r *Request) bool {
	for i := range r.Commit.Appends {
		part := &r.Commit.Appends[i]
		if f.deferred[part.Stream] || f.streams[part.Stream] && !part.Expected.IsAny() {
			return false
		}
	}
	if r.Commit.Condition == nil {
		return true
	}
	for _, other := range f.batch {
		for i := range other.Commit.Appends {
			for j := range other.Commit.Appends[i].Events {
				e := &other.Commit.Appends[i].Events[j]
				if r.Commit.Condition.Query.Matches(e.Type, e.Tags) {
					return false
				}
			}
		}
	}
	return true
}
