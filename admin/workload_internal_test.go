package admin

import (
	"testing"
	"testing/synctest"
)

func TestRunsOfOneMomentHaveNamesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where time stands
		names := map[string]bool{}
		for range 1000 {
			names[runName()] = true
		}
		if len(names) != 1000 {
			t.Errorf("%d names of 1000 runs", len(names))
		}
	})
}
