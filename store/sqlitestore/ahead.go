package sqlitestore

import "context"

// readLanes is how many goroutines read the whole log ahead of its reader, each on a connection of its own.
const readLanes = 2

// ahead reads the pages after the first one on goroutines of their own. They go on to the next page as soon as one is
// taken, without waiting for the caller to ask: that would cost it the time of a wake-up for each page. The caller has
// then done with their page before, so two pages' memory is enough for each. stop ends the read, and waits for that.
func (p *pager) ahead(ctx context.Context) (next func() (page, bool), stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	left := make(chan struct{})
	var taken []chan page
	start := func(read func(pages chan<- page)) {
		pages := make(chan page)
		taken = append(taken, pages)
		go func() {
			defer close(pages)
			read(pages)
		}()
	}
	if p.whole && !p.limited && !p.backwards {
		first, head := p.low, p.high
		for i, lane := range p.lanes() {
			start(func(pages chan<- page) {
				for low := first + int64(i)*nextPage; low <= head; low += readLanes * nextPage {
					lane.low, lane.high = low, min(low+nextPage-1, head)
					if !lane.send(ctx, pages, left) {
						return
					}
				}
			})
		}
	} else {
		start(func(pages chan<- page) { p.send(ctx, pages, left) })
	}
	turn := 0
	next = func() (page, bool) {
		current, ok := <-taken[turn]
		if !current.more {
			turn = (turn + 1) % len(taken)
		}
		return current, ok
	}
	return next, func() {
		close(left)
		cancel()
		for _, pages := range taken {
			for range pages { // until it is closed
			}
		}
	}
}

// lanes gives pagers that read parts of the log in turns. What the first page has found out is known to all.
func (p *pager) lanes() [readLanes]*pager {
	all := [readLanes]*pager{p}
	for i := 1; i < readLanes; i++ {
		all[i] = &pager{backend: p.backend, query: p.query, whole: true, begun: true}
	}
	return all
}

// send reads page after page, from low to high, until the caller has left. It reports whether to go on.
func (p *pager) send(ctx context.Context, pages chan<- page, left <-chan struct{}) bool {
	for more := true; more; {
		next := p.next(ctx)
		more = next.more
		select {
		case pages <- next:
		case <-left:
			return false
		}
		if next.err != nil {
			return false
		}
	}
	return true
}
