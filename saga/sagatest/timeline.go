package sagatest

import (
	"fmt"
	"strings"
	"time"

	"lexigram.dev/events/saga"
)

// Timeline shows the history of an instance, a line for each moment, with the time since it began.
func Timeline(d saga.Detail) string {
	var b strings.Builder
	for _, m := range d.History {
		fmt.Fprintf(&b, "%8s  %s", "+"+m.At.Sub(d.StartedAt).Round(time.Millisecond).String(), m.What)
		if m.Step != "" {
			fmt.Fprintf(&b, " %s", m.Step)
		}
		if m.Attempt > 1 || m.Attempt == 1 && !m.RetryAt.IsZero() {
			fmt.Fprintf(&b, ", attempt %d", m.Attempt)
		}
		if m.Error != "" {
			fmt.Fprintf(&b, ": %s", m.Error)
		}
		if !m.RetryAt.IsZero() {
			fmt.Fprintf(&b, " (again in %v)", m.RetryAt.Sub(m.At).Round(time.Millisecond))
		}
		if m.By != "" {
			fmt.Fprintf(&b, " (by %s)", m.By)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// story is what a report ends with.
func (k *kit) story() string {
	d, ok := k.detail()
	if !ok {
		return ""
	}
	head := fmt.Sprintf("\nIt is %s", d.Status)
	if d.Error != "" {
		head += " (" + d.Error + ")"
	}
	return fmt.Sprintf("%s, %v after its start, with %s. Its timeline:\n%s", head, k.trial.Now().Sub(d.StartedAt), d.Data, indented(Timeline(d)))
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

func trimmed(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
