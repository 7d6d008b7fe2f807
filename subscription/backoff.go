package subscription

import (
	"math/rand/v2"
	"time"
)

// backoff gives the pause before a further try, n from 1: initial, doubled each time up to longest, give or take a fifth.
func backoff(initial, longest time.Duration, n int) time.Duration {
	pause := initial
	for ; n > 1 && pause < longest; n-- {
		pause *= 2
	}
	pause = min(pause, longest)
	return pause - pause/5 + rand.N(2*pause/5+1)
}

// pause of a try to reach the backend after n failed ones.
func outagePause(n int) time.Duration { return backoff(100*time.Millisecond, 5*time.Second, n) }

// sleep waits; false where one of the channels came first.
func sleep(d time.Duration, ends ...<-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var first, second <-chan struct{}
	switch len(ends) {
	case 2:
		second = ends[1]
		fallthrough
	case 1:
		first = ends[0]
	}
	select {
	case <-timer.C:
		return true
	case <-first:
	case <-second:
	}
	return false
}
