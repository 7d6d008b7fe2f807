package groupcommit

import "time"

// TryAlone is for drivers that can append in the caller's own goroutine, which spares the way to the writer's and back
// where nobody else appends. It reports whether nobody does: nothing is queued or in flight, nobody else has the turn,
// and the last batch was a single request. The caller then has the turn, until EndAlone; what is submitted meanwhile
// takes the usual way. Next does not report the end of a closed queue while somebody has the turn.
func (q *Queue) TryAlone() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.alone || q.inflight > 0 || len(q.pending) > 0 || q.target > 1 {
		return false
	}
	q.alone = true
	return true
}

// EndAlone gives the turn back that was taken when it began.
func (q *Queue) EndAlone(began time.Time) {
	q.mu.Lock()
	q.alone = false
	q.lastTook = time.Since(began)
	closed := q.closed
	q.mu.Unlock()
	if closed {
		q.ready.Signal()
	}
}
