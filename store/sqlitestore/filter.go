package sqlitestore

import (
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// query is a statement over the log in position order: parameters 1 to 3 are the lowest and highest position and the
// greatest number of rows; the texts follow from 4 on.
type query struct {
	sql   string
	texts []string
}

func (q *query) bind(stmt *sqlite.Stmt, low, high, limit int64) {
	stmt.BindInt64(1, low)
	stmt.BindInt64(2, high)
	stmt.BindInt64(3, limit)
	for i, text := range q.texts {
		stmt.BindText(4+i, text)
	}
}

// text adds a parameter and gives its name.
func (q *query) text(s string) string {
	q.texts = append(q.texts, s)
	return fmt.Sprintf("?%d", 3+len(q.texts))
}

// compose makes the statement that selects columns of the events e that pass the filter.
func compose(columns string, f store.Filter, backwards bool) query {
	var q query
	order := " order by e.position limit ?3"
	if backwards {
		order = " order by e.position desc limit ?3"
	}
	q.sql = "select " + columns
	if tagged(f.Query) {
		q.sql += " from events e where e.position in (" + q.union(f, order) + ")" + order
	} else {
		q.sql += q.scan(f) + order
	}
	return q
}

// maxUnion is how many items are looked up one by one; SQLite refuses unions of more than 500.
const maxUnion = 256

// tagged reports whether each item names a tag, so that the side table has the positions of all that can match.
func tagged(query store.Query) bool {
	for _, item := range query {
		if len(item.Tags) == 0 {
			return false
		}
	}
	return len(query) > 0 && len(query) <= maxUnion
}

// union finds the positions through the primary key of event_tags: of each item as many as one page can need, and of
// these the outer statement takes the first. The cross join keeps that order of the tables.
func (q *query) union(f store.Filter, order string) string {
	items := make([]string, len(f.Query))
	for i, item := range f.Query {
		items[i] = "select position from (select e.position from event_tags t cross join events e on e.position = t.position where t.tag = " +
			q.text(string(item.Tags[0])) + " and t.position between ?1 and ?2" + q.streams(f) +
			q.item(store.QueryItem{Types: item.Types, Tags: item.Tags[1:]}) +
			strings.Replace(order, "e.position", "t.position", 1) + ")"
	}
	return strings.Join(items, " union ")
}

// scan walks over the log itself or, for named streams, over events_stream_version.
func (q *query) scan(f store.Filter) string {
	from := " from events e"
	if len(f.Streams) > 0 {
		from += " indexed by events_stream_version"
	}
	from += " where e.position between ?1 and ?2" + q.streams(f)
	if len(f.Query) == 0 {
		return from
	}
	items := make([]string, len(f.Query))
	for i, item := range f.Query {
		items[i] = "(true" + q.item(item) + ")"
	}
	return from + " and (" + strings.Join(items, " or ") + ")"
}

// streams restricts to streams and categories. A category is a range of names: all that begin with it and a dash, the
// dot being the byte after the dash. The plus keeps the index out, which would lose the order of positions.
func (q *query) streams(f store.Filter) string {
	var sql string
	if len(f.Streams) > 0 {
		sql += " and e.stream in (" + list(q, f.Streams) + ")"
	}
	if len(f.Categories) > 0 {
		ranges := make([]string, len(f.Categories))
		for i, c := range f.Categories {
			ranges[i] = "+e.stream >= " + q.text(c+"-") + " and +e.stream < " + q.text(c+".")
		}
		sql += " and (" + strings.Join(ranges, " or ") + ")"
	}
	return sql
}

// item restricts to events of any of the types, with all of the tags.
func (q *query) item(item store.QueryItem) string {
	var sql string
	if len(item.Types) > 0 {
		sql += " and e.type in (" + list(q, item.Types) + ")"
	}
	for _, tag := range item.Tags {
		sql += " and exists (select 1 from event_tags where tag = " + q.text(string(tag)) + " and position = e.position)"
	}
	return sql
}

func list[S ~string](q *query, values []S) string {
	parameters := make([]string, len(values))
	for i, v := range values {
		parameters[i] = q.text(string(v))
	}
	return strings.Join(parameters, ", ")
}

// logQuery makes the statement of a read of the log.
func logQuery(r store.LogRead) (q query, composed bool) {
	switch {
	case !r.Filter.IsZero():
		return compose("e."+strings.ReplaceAll(eventColumns, ", ", ", e."), r.Filter, r.Backwards), true
	case r.Backwards:
		return query{sql: sqlLogBackward}, false
	default:
		return query{sql: sqlLogForward}, false
	}
}

// streamQuery makes the statement of a read of a stream; versions take the place of positions.
func streamQuery(stream event.StreamID, backwards bool) query {
	if backwards {
		return query{sql: sqlStreamBackward, texts: []string{string(stream)}}
	}
	return query{sql: sqlStreamForward, texts: []string{string(stream)}}
}
