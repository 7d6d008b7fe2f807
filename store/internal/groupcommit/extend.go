package groupcommit

import "time"

// Extend takes further requests into a batch that is being written, for drivers that write one request after the other
// and commit at the end: the requests that usually come then need not be waited for, they come while the first ones are
// written. It gives the added ones, which are the last of b.Requests; none when it is time to commit. A batch of less
// than upTo requests waits for what usually comes, for an eighth of the last batch's time and at most MaxLinger; let
// Options.LingerRequests be 1, so that Next itself does not wait.
//
// Each call adds within the bounds of a batch, and none to a batch that has reached one of them. It is for queues of
// depth 1 that are not Independent.
func (q *Queue) Extend(b *Batch, upTo int) []*Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.filled(b) {
		return nil
	}
	var deadline time.Time
	for len(q.pending) == 0 {
		lacking := min(q.target, upTo) - len(b.Requests)
		if lacking <= 0 || q.closed {
			return nil
		}
		now := time.Now()
		if deadline.IsZero() {
			patience := min(q.lastTook/8, q.options.MaxLinger)
			deadline = now.Add(patience)
			q.timer.Reset(patience)
		} else if !now.Before(deadline) {
			q.target = len(b.Requests) // they did not come: do not wait for them again
			return nil
		}
		q.need, q.waiting = lacking, true
		q.ready.Wait()
		q.waiting = false
	}
	more := q.form()
	b.Requests = append(b.Requests, more.Requests...)
	b.Events += more.Events
	b.initial += more.initial
	q.inflightRequests += more.initial
	return more.Requests
}

// filled reports whether the batch has reached one of its bounds.
func (q *Queue) filled(b *Batch) bool {
	bytes := 0
	for _, r := range b.Requests {
		bytes += r.bytes
	}
	return len(b.Requests) >= q.options.MaxRequests || b.Events >= q.options.MaxEvents || bytes >= q.options.MaxBytes
}
