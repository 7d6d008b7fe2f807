package natsbroker

import "time"

const (
	firstPoll = 5 * time.Millisecond
	lastPoll  = 100 * time.Millisecond
)

// ask asks the server for messages, as many as the stream may hold beside what it holds and has asked for. The lock is
// held.
//
// A source of which nothing is known to wait gets a request that stands until something comes; half of the prefetch is
// divided among these. Where messages are known to wait, the rest is asked for at once. A prefetch too small for that is
// taken by the sources in turns. Small requests wait for more room, unless eager.
func (s *stream) ask(eager bool) {
	if s.gone != nil || s.drains {
		return
	}
	var (
		now        = time.Now()
		ready      []*source // those that nothing was asked of
		backlogged int
	)
	for _, src := range s.sources {
		if src.state != active || src.sub == nil || !src.m.valid(now) {
			continue
		}
		if src.want == 0 && now.After(src.rest) {
			ready = append(ready, src)
			if src.pending > 0 {
				backlogged++
			}
		}
	}
	free := s.prefetch - len(s.held) - s.outstanding
	if free <= 0 || len(ready) == 0 {
		return
	}
	if s.prefetch < 2*len(s.sources) { // also those it may yet take
		s.askInTurn(ready, free)
		return
	}
	if backlogged > 0 {
		share := max(1, free/backlogged)
		for _, src := range ready {
			n := min(int(min(src.pending, uint64(s.prefetch))), share, free) //nolint:gosec // G115: at most the prefetch
			if n > 0 && (eager || !s.isMorsel(n, src, backlogged)) {
				src.request(n, false)
				free -= src.want
			}
		}
	}
	each := max(1, s.prefetch/(2*len(s.sources)))
	for _, src := range ready {
		if n := min(each, free); src.want == 0 && src.pending == 0 && n > 0 {
			src.request(n, true)
			free -= src.want
		}
	}
}

// isMorsel reports whether a request would be for a few of many messages, while more room is about to come: that of what
// is held now.
func (s *stream) isMorsel(n int, src *source, sharing int) bool {
	return uint64(n) < src.pending && n < s.prefetch/(8*sharing) && len(s.held)+s.outstanding > 0 //nolint:gosec // G115: not negative
}

// askInTurn asks one source at a time for what is there. When none had anything, they are tried again after a pause.
func (s *stream) askInTurn(ready []*source, free int) {
	if s.outstanding > 0 || s.polling || s.takes > 0 { // what a former holder has left comes first
		return
	}
	if s.turn >= len(ready) {
		s.turn = 0
		if !s.found {
			s.pause = min(max(2*s.pause, firstPoll), lastPoll)
			s.poll()
			return
		}
		s.found, s.pause = false, 0
	}
	src := ready[s.turn]
	s.turn++
	if src.request(free, false); src.want > 0 {
		s.answered = make(chan struct{})
	}
}

// less notes that n messages less are asked for. The lock is held.
func (s *stream) less(n int) {
	if s.outstanding -= n; s.outstanding == 0 && s.answered != nil {
		close(s.answered)
		s.answered = nil
	}
}

// poll asks again after the pause.
func (s *stream) poll() {
	s.polling = true
	s.timer = time.AfterFunc(s.pause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.polling = false
		s.ask(false)
	})
}
