package checkup

import (
	"fmt"
	"slices"
	"time"
)

// Level says how much a finding matters.
type Level string

// The levels.
const (
	OK   Level = "ok"   // as it should be
	Warn Level = "warn" // works, and an operator should know
	Fail Level = "fail" // does not work, or loses what it promised to keep
)

// Finding is what one check has found.
type Finding struct {
	Part  string `json:"part,omitempty"` // "store", "broker"; filled in by who puts findings together
	Check string `json:"check"`          // "durability"
	Level Level  `json:"level"`
	Found string `json:"found"`          // in plain words; never a password
	Cure  string `json:"cure,omitempty"` // what to do; "" where nothing is to be done
}

// Good makes a finding of level OK.
func Good(check, format string, args ...any) Finding {
	return Finding{Check: check, Level: OK, Found: fmt.Sprintf(format, args...)}
}

// Worst gives the highest level; OK for no findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Fail || f.Level == Warn && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// How far two clocks may differ. Leases are of some seconds, and times of events are compared by people.
const (
	doubtfulSkew = time.Second
	badSkew      = 30 * time.Second
)

// Clock compares a server's clock with this host's: the server gave its time between asked and answered.
func Clock(server, asked, answered time.Time) Finding {
	half := answered.Sub(asked) / 2
	ahead := server.Sub(asked.Add(half))
	apart := max(ahead, -ahead)
	apart = max(0, apart-half).Round(time.Millisecond) // what the way there and back cannot explain
	f := Finding{Check: "clock", Level: OK, Found: "agrees with this host's"}
	if apart > 100*time.Millisecond {
		f.Found = fmt.Sprintf("%v ahead of this host's", apart)
		if ahead < 0 {
			f.Found = fmt.Sprintf("%v behind this host's", apart)
		}
	}
	switch {
	case apart > badSkew:
		f.Level = Fail
	case apart > doubtfulSkew:
		f.Level = Warn
	default:
		return f
	}
	f.Cure = "run an NTP client on both machines: deadlines, timers and the times of events go by these clocks"
	return f
}

// Space judges the free part of a disk, in bytes.
func Space(free, total uint64) Finding {
	percent := 100.0
	if total > 0 {
		percent = float64(free) / float64(total) * 100
	}
	f := Finding{Check: "free space", Level: OK, Found: fmt.Sprintf("%.1f GiB, %.0f %% of the disk", float64(free)/(1<<30), percent)}
	const low, none = 5 << 30, 256 << 20
	switch {
	case free < none:
		f.Level = Fail
	case free < low && percent < 10:
		f.Level = Warn
	default:
		return f
	}
	f.Cure = "make room, or move the store to a larger disk: when it is full, appends are refused"
	return f
}

// Find gives the finding of a check; ok is false where there is none.
func Find(findings []Finding, check string) (f Finding, ok bool) {
	i := slices.IndexFunc(findings, func(f Finding) bool { return f.Check == check })
	if i < 0 {
		return Finding{}, false
	}
	return findings[i], true
}
