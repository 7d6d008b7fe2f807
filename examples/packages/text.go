package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// How much of a list the report shows; --json has all.
const (
	someInstalled = 8
	someRefused   = 20
	someDays      = 7
	someDifferent = 10
	barWidth      = 32
)

// summary is the report in one line.
func (r *Report) summary() string {
	verdict := "ok"
	if !r.Proof.OK {
		verdict = "FAILED"
	}
	return fmt.Sprintf("%s: %s stored now, %s already there, %d refused, %d malformed; %s of %s; %d installed; proof %s",
		plural(r.Log.Lines, "line"), thousands(r.Import.New), thousands(r.Import.AlreadyThere), len(r.Import.Refused),
		len(r.Log.Malformed), plural(r.Events, "event"), plural(r.Packages, "package"), len(r.Installed), verdict)
}

// text is the report for people.
func (r *Report) text() string {
	var b strings.Builder
	r.writeImport(&b)
	r.writeInstalled(&b)
	r.writeTimelines(&b)
	r.writeDays(&b)
	r.writeProof(&b)
	return b.String()
}

func (r *Report) writeImport(b *strings.Builder) {
	fmt.Fprintf(b, "Package history\n\n")
	fmt.Fprintf(b, "  log       %s: %s, %s to %s\n", strings.Join(r.Log.Files, ", "), plural(r.Log.Lines, "line"),
		r.Log.First.Format(time.DateTime), r.Log.Last.Format(time.DateTime))
	fmt.Fprintf(b, "  store     %s %s: %s in %s\n", r.Store.Backend, r.Store.Location,
		plural(r.Events, "event"), plural(r.Packages, "stream"))
	fmt.Fprintf(b, "  commands  %s: %s stored now, %s already there, %s refused\n", thousands(r.Import.Commands),
		thousands(r.Import.New), thousands(r.Import.AlreadyThere), thousands(len(r.Import.Refused)))
	fmt.Fprintf(b, "  aside     %s about no package, %s malformed\n", plural(r.Log.Other, "line"), thousands(len(r.Log.Malformed)))
	fmt.Fprintf(b, "  took      %s (%s lines/s)\n", r.Import.Took.Round(time.Millisecond),
		thousands(int(float64(r.Import.Commands)/max(r.Import.Took.Seconds(), 1e-6))))

	heading(b, "Refused", len(r.Import.Refused))
	for _, x := range first(r.Import.Refused, someRefused) {
		fmt.Fprintf(b, "  %s  %s\n      %s\n", x.Source, x.Reason, x.Text)
	}
	more(b, len(r.Import.Refused), someRefused)
	heading(b, "Malformed", len(r.Log.Malformed))
	for _, x := range first(r.Log.Malformed, someRefused) {
		fmt.Fprintf(b, "  %s  %s\n      %s\n", x.Source, x.Reason, x.Text)
	}
	more(b, len(r.Log.Malformed), someRefused)
}

func (r *Report) writeInstalled(b *strings.Builder) {
	fmt.Fprintf(b, "\nInstalled now: %s, the latest first\n", plural(len(r.Installed), "package"))
	writeEntries(b, r.Installed)
	if r.At != nil {
		fmt.Fprintf(b, "\nInstalled at %s: %s, the latest first\n",
			r.At.Time.Truncate(time.Second).Format(time.DateTime), plural(len(r.At.Installed), "package"))
		writeEntries(b, r.At.Installed)
	}
}

func writeEntries(b *strings.Builder, list []Entry) {
	for _, e := range first(list, someInstalled) {
		fmt.Fprintf(b, "  %s  %s %s", e.Since.Format(time.DateTime), e.Package, e.Version)
		if e.State != IsInstalled {
			fmt.Fprintf(b, " (%s)", e.State)
		}
		b.WriteByte('\n')
	}
	more(b, len(list), someInstalled)
}

func (r *Report) writeTimelines(b *strings.Builder) {
	for _, t := range r.Timelines {
		fmt.Fprintf(b, "\nHistory of %s: %s\n", t.Package, plural(len(t.Steps), "event"))
		before := ""
		for _, s := range t.Steps {
			at := s.At.Format(time.DateTime)
			shown := at
			if at == before {
				shown = ""
			}
			before = at
			fmt.Fprintln(b, strings.TrimRight(fmt.Sprintf("  %-19s %4d  %-26s %s", shown, s.Version, s.Type, s.Tells), " "))
		}
	}
}

func (r *Report) writeDays(b *strings.Builder) {
	if len(r.Days) == 0 {
		return
	}
	fmt.Fprintf(b, "\nBusiest days\n")
	for _, d := range first(r.Days, someDays) {
		n := max(1, d.Events*barWidth/r.Days[0].Events)
		fmt.Fprintf(b, "  %s  %s%s %6s events: %s, %s, %s\n", d.Date, strings.Repeat("█", n),
			strings.Repeat(" ", barWidth-n), thousands(d.Events), plural(d.Installs, "install"), plural(d.Upgrades, "upgrade"), plural(d.Removals, "removal"))
	}
	more(b, len(r.Days), someDays)
}

func (r *Report) writeProof(b *strings.Builder) {
	fmt.Fprintf(b, "\nProof\n")
	if r.Proof.OK {
		fmt.Fprintf(b, "  ok      the state rebuilt from %s equals the state kept while writing (%s)\n",
			plural(r.Events, "event"), plural(r.Proof.Packages, "package"))
	} else {
		fmt.Fprintf(b, "  FAILED  the state rebuilt from the events differs from the state kept while writing:\n")
		for _, d := range first(r.Proof.Differences, someRefused) {
			fmt.Fprintf(b, "            %s\n", d)
		}
	}
	if r.Proof.Others > 0 {
		fmt.Fprintf(b, "          %s more in the store, from logs that were not read now\n", plural(r.Proof.Others, "package"))
	}
	if r.Dpkg == nil {
		return
	}
	fmt.Fprintf(b, "  dpkg    agrees on %s, differs on %d\n", plural(r.Dpkg.Same, "package"), len(r.Dpkg.Differences))
	for _, reason := range r.Dpkg.reasons() {
		list := r.Dpkg.of(reason)
		fmt.Fprintf(b, "          %s %s", plural(len(list), "package"), reason)
		if len(list) > someDifferent {
			fmt.Fprintf(b, ": %s, … (all: --json)\n", names(first(list, 4)))
			continue
		}
		fmt.Fprintf(b, ":\n")
		for _, d := range list {
			fmt.Fprintf(b, "            %s: events say %s, dpkg says %s\n", d.Package, orNothing(d.Events), orNothing(d.Dpkg))
		}
	}
}

func orNothing(s Status) string {
	if s.State == Unknown {
		return "nothing"
	}
	return s.String()
}

func names(list []Difference) string {
	all := make([]string, len(list))
	for i, d := range list {
		all[i] = d.Package
	}
	return strings.Join(all, ", ")
}

func heading(b *strings.Builder, title string, n int) {
	if n > 0 {
		fmt.Fprintf(b, "\n%s\n", title)
	}
}

func more(b *strings.Builder, n, shown int) {
	if n > shown {
		fmt.Fprintf(b, "  … and %s more (all: --json)\n", thousands(n-shown))
	}
}

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

// thousands writes a count as 1,234.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
