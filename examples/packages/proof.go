package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Proof compares the state that was kept while writing with the state that the events give.
type Proof struct {
	OK          bool     `json:"ok"`
	Packages    int      `json:"packages"`    // compared
	Others      int      `json:"others"`      // in the store, of logs that are not at hand
	Differences []string `json:"differences"` // one line each
}

func prove(kept, rebuilt map[string]Status) Proof {
	p := Proof{Differences: []string{}}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		p.Packages++
		if r, ok := rebuilt[name]; !ok {
			p.Differences = append(p.Differences, fmt.Sprintf("%s: kept %s, but there are no events", name, kept[name]))
		} else if r != kept[name] {
			p.Differences = append(p.Differences, fmt.Sprintf("%s: kept %s, rebuilt %s", name, kept[name], r))
		}
	}
	for name := range rebuilt {
		if _, ok := kept[name]; !ok {
			p.Others++
		}
	}
	p.OK = len(p.Differences) == 0
	return p
}

// Comparison sets the state that the events give against what dpkg says itself.
type Comparison struct {
	Same        int          `json:"same"`
	Differences []Difference `json:"differences"`
}

// Difference is one package on which the events and dpkg do not agree, and why.
type Difference struct {
	Package string `json:"package"`
	Events  Status `json:"events"`
	Dpkg    Status `json:"dpkg"`
	Reason  string `json:"reason"`
}

// askDpkg gives the state of the machine's packages; nil where there is no dpkg-query.
func askDpkg(ctx context.Context) (map[string]Status, error) {
	path, err := exec.LookPath("dpkg-query")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dpkg-query: %w", err)
	}
	out, err := exec.CommandContext(ctx, path, "-W", "-f", "${Package}:${Architecture} ${Version} ${db:Status-Status}\n").Output()
	if err != nil {
		return nil, fmt.Errorf("dpkg-query: %w", err)
	}
	return parseDpkg(out), nil
}

// parseDpkg reads "NAME:ARCH VERSION STATE" lines; the version is missing where there is none.
func parseDpkg(out []byte) map[string]Status {
	all := map[string]Status{}
	for line := range bytes.Lines(out) {
		switch f := strings.Fields(string(line)); len(f) {
		case 3:
			all[f[0]] = Status{State: State(f[2]), Version: f[1]}
		case 2:
			all[f[0]] = Status{State: State(f[1])}
		}
	}
	return all
}

// compare lists the packages on which the events and dpkg differ. Begins is the first moment of the log.
func compare(rebuilt, dpkg map[string]Status, refused []Refused, begins time.Time) Comparison {
	c := Comparison{Differences: []Difference{}}
	refusals := map[string]int{}
	for _, r := range refused {
		refusals[r.Package]++
	}
	names := maps.Clone(dpkg)
	maps.Copy(names, rebuilt)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		ours, known := rebuilt[name]
		theirs, there := dpkg[name]
		switch {
		case ours == theirs, !there && ours.State == NotInstalled, !known && theirs.State == NotInstalled:
			c.Same++
			continue
		}
		d := Difference{Package: name, Events: ours, Dpkg: theirs}
		switch {
		case refusals[name] > 0:
			d.Reason = "lines of it were refused, see above"
		case !known:
			d.Reason = "in place before the log begins (" + begins.Format(time.DateTime) + "), and not touched since"
		case !there:
			d.Reason = "dpkg has forgotten it, and the log does not tell when"
		default:
			d.Reason = "changed without a line in the log, or while this was read"
		}
		c.Differences = append(c.Differences, d)
	}
	return c
}

// reasons counts the differences by reason, the most frequent first.
func (c Comparison) reasons() []string {
	count := map[string]int{}
	for _, d := range c.Differences {
		count[d.Reason]++
	}
	return slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
}

func (c Comparison) of(reason string) []Difference {
	var list []Difference
	for _, d := range c.Differences {
		if d.Reason == reason {
			list = append(list, d)
		}
	}
	return list
}
