package checkup_test

import (
	"fmt"
	"testing"
	"time"

	"lexigram.dev/events/checkup"
)

func TestClocksThatDifferAreSeenThroughTheTimeOfTheAnswer(t *testing.T) {
	asked := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		off, took time.Duration
		want      checkup.Level
	}{
		"the same":                     {0, 0, checkup.OK},
		"a little":                     {500 * time.Millisecond, 0, checkup.OK},
		"ahead":                        {3 * time.Second, 0, checkup.Warn},
		"behind":                       {-3 * time.Second, 0, checkup.Warn},
		"far behind":                   {-time.Minute, 0, checkup.Fail},
		"a slow answer may explain it": {2 * time.Second, 5 * time.Second, checkup.OK},
	} {
		f := checkup.Clock(asked.Add(c.took/2+c.off), asked, asked.Add(c.took))
		if f.Level != c.want || (f.Cure == "") != (c.want == checkup.OK) {
			t.Errorf("%s: %+v, want %s", name, f, c.want)
		}
	}
}

func TestAFullDiskFails(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		free, total uint64
		want        checkup.Level
	}{
		{100 * gib, 1000 * gib, checkup.OK}, {4 * gib, 10 * gib, checkup.OK}, {4 * gib, 1000 * gib, checkup.Warn}, {gib / 10, gib, checkup.Fail}, {6 * gib, 0, checkup.OK},
	} {
		if f := checkup.Space(c.free, c.total); f.Level != c.want {
			t.Errorf("%d of %d: %+v, want %s", c.free, c.total, f, c.want)
		}
	}
}

func TestTheWorstLevelCounts(t *testing.T) {
	for want, levels := range map[checkup.Level][]checkup.Level{
		checkup.OK: nil, checkup.Warn: {checkup.OK, checkup.Warn, checkup.OK}, checkup.Fail: {checkup.Warn, checkup.Fail, checkup.Warn},
	} {
		var findings []checkup.Finding
		for _, l := range levels {
			findings = append(findings, checkup.Finding{Level: l})
		}
		if got := checkup.Worst(findings); got != want {
			t.Errorf("%v: got %s", levels, got)
		}
	}
}

func Example() {
	now := time.Now()
	f := checkup.Clock(now.Add(5*time.Second), now, now)
	fmt.Println(f.Level, f.Found)
	// Output: warn 5s ahead of this host's
}
