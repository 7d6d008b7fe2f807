package pgstore

import (
	"fmt"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// logQuery gives the statement that reads the log through a filter, and its arguments from $4 on. It has one part for
// each item of the query that names tags, which walks along one tag in event_tags, and one for all others together,
// which walks along the positions; each part gives at most a page, in order, and the first page of their union is the
// answer.
func logQuery(f store.Filter, backwards bool) (sql string, args []any) {
	q := composer{direction: ""}
	plain := sqlLogForwards
	if backwards {
		q.direction, plain = " desc", sqlLogBackwards
	}
	if f.IsZero() {
		return plain, nil
	}
	scope := q.scope(f)
	var parts []string
	var types []string // of the items without tags
	for _, item := range f.Query {
		if len(item.Tags) > 0 {
			parts = append(parts, q.tagged(item, scope))
		} else {
			types = append(types, item.Types...)
		}
	}
	if len(parts) == 0 || len(types) > 0 {
		parts = append(parts, q.untagged(types, scope))
	}
	if len(parts) == 1 {
		return parts[0], q.args
	}
	return "select distinct on (e.position) * from ((" + strings.Join(parts, ") union all (") + ")) e order by e.position" + q.direction + " limit $3", q.args
}

// composer collects arguments.
type composer struct {
	args      []any
	direction string
}

// arg adds an argument and gives its name.
func (q *composer) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args)+3)
}

// scope is the condition on the stream, beginning with " and".
func (q *composer) scope(f store.Filter) string {
	var b strings.Builder
	if len(f.Streams) > 0 {
		names := make([]string, len(f.Streams))
		for i, s := range f.Streams {
			names[i] = string(s)
		}
		b.WriteString(" and e.stream = any (" + q.arg(names) + ")")
	}
	for i, c := range f.Categories {
		b.WriteString(map[bool]string{true: " and (", false: " or "}[i == 0])
		// '.' comes right after '-', and names compare by bytes.
		b.WriteString("e.stream >= " + q.arg(c+"-") + " and e.stream < " + q.arg(c+"."))
	}
	if len(f.Categories) > 0 {
		b.WriteString(")")
	}
	return b.String()
}

func (q *composer) types(types []string) string {
	if len(types) == 0 {
		return ""
	}
	return " and e.type = any (" + q.arg(types) + ")"
}

func (q *composer) untagged(types []string, scope string) string {
	return "select " + eventColumns + " from {{schema}}.events e where e.position >= $1 and e.position <= $2" +
		scope + q.types(types) + " order by e.position" + q.direction + " limit $3"
}

func (q *composer) tagged(item store.QueryItem, scope string) string {
	others := ""
	if len(item.Tags) > 1 {
		others = " and e.tags @> " + q.arg(texts(item.Tags[1:]))
	}
	return "select " + eventColumns + " from {{schema}}.event_tags t join {{schema}}.events e on e.position = t.position where t.tag = " +
		q.arg(string(item.Tags[0])) + " and t.position >= $1 and t.position <= $2" + others + scope + q.types(item.Types) +
		" order by t.position" + q.direction + " limit $3"
}

func texts(tags []event.Tag) []string {
	out := make([]string, len(tags))
	for i, t := range tags {
		out[i] = string(t)
	}
	return out
}
