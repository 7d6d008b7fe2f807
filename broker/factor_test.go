package broker_test

import (
	"testing"
	"time"

	"lexigram.dev/events/broker"
)

func TestPausesGrowByTheFactorUpToTheLongest(t *testing.T) {
	r := broker.Retry{Initial: time.Second, Max: 20 * time.Second, Factor: 3}.WithDefaults()
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 3 * time.Second, 3: 9 * time.Second, 4: 20 * time.Second, 5000: 20 * time.Second} {
		if got := r.Pause(failures); got < want*8/10 || got > want*12/10 {
			t.Errorf("after %d failures: %v, want about %v", failures, got, want)
		}
	}
	if err := (broker.Retry{Factor: 0.5}).WithDefaults().Validate(); err == nil {
		t.Error("a factor below 1 is accepted")
	}
}
