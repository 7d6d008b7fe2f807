package rabbitbroker

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The server refuses an acknowledgement of several messages that names one which it has no more.
func TestAcknowledgementsCoverEachTagOnceAndNameOnesThatAreOpen(t *testing.T) {
	const tags = 500
	for range 50 {
		var (
			a    acks
			open = map[uint64]bool{}
			todo []uint64
		)
		for tag := uint64(1); tag <= tags; tag++ {
			open[tag] = true
			todo = append(todo, tag)
		}
		for i := range todo { // roughly in order, as handlers end
			j := min(i+rand.IntN(20), len(todo)-1)
			todo[i], todo[j] = todo[j], todo[i]
		}
		for len(todo) > 0 {
			n := 1 + rand.IntN(min(10, len(todo)))
			batch := slices.Sorted(slices.Values(todo[:n]))
			given := map[uint64]bool{}
			for tag := range open {
				given[tag] = slices.Contains(todo[n:], tag)
			}
			todo = todo[n:]
			upTo, single := a.add(batch)
			if upTo > 0 {
				if !open[upTo] {
					t.Fatalf("tag %d is not open", upTo)
				}
				for tag := range open {
					if tag <= upTo {
						if given[tag] {
							t.Fatalf("tag %d was not answered", tag)
						}
						delete(open, tag)
					}
				}
			}
			for _, tag := range single {
				if !open[tag] {
					t.Fatalf("tag %d is not open", tag)
				}
				delete(open, tag)
			}
			for _, tag := range batch {
				if open[tag] {
					t.Fatalf("tag %d was forgotten", tag)
				}
			}
		}
		if len(open) > 0 || len(a.beyond) > 0 || a.low != tags {
			t.Fatalf("%d open, %d beyond %d", len(open), len(a.beyond), a.low)
		}
	}
}

func TestPausesAreRoundedUpToOneForWhichThereIsAQueue(t *testing.T) {
	for pause, want := range map[time.Duration]time.Duration{
		0: 64 * time.Millisecond, time.Millisecond: 64 * time.Millisecond, 64 * time.Millisecond: 64 * time.Millisecond,
		65 * time.Millisecond: 128 * time.Millisecond, 129 * time.Millisecond: 192 * time.Millisecond, 192 * time.Millisecond: 192 * time.Millisecond,
		193 * time.Millisecond: 256 * time.Millisecond, 300 * time.Millisecond: 384 * time.Millisecond, time.Second: 1024 * time.Millisecond,
		time.Hour: 4194304 * time.Millisecond,
	} {
		if got := delayStep(pause); got != want {
			t.Errorf("%v: got %v, want %v", pause, got, want)
		}
	}
	steps := map[time.Duration]bool{}
	for pause := time.Millisecond; pause < 24*time.Hour; pause += pause/50 + time.Millisecond {
		step := delayStep(pause)
		steps[step] = true
		if step < pause || pause > 2*shortestDelay && step > pause*3/2+shortestDelay {
			t.Errorf("%v became %v", pause, step)
		}
	}
	if len(steps) > 45 {
		t.Errorf("a day needs %d queues", len(steps))
	}
}
