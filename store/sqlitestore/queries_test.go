package sqlitestore

import (
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The statements use the indexes that queries.go and filter.go name: none walks over a whole table, or sorts what it
// could read in order.
func TestQueryPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	makeStore(t, path)
	c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	composed := func(f store.Filter) string { return compose("e.position", f, false).sql }
	for sql, want := range map[string]string{
		sqlHead:           "SEARCH events",
		sqlTail:           "SEARCH events USING INDEX events_stream_version (stream=?)",
		sqlByID:           "SEARCH events USING INDEX events_id (id=?)",
		sqlStreamForward:  "SEARCH events USING INDEX events_stream_version (stream=? AND version>? AND version<?)",
		sqlStreamBackward: "SEARCH events USING INDEX events_stream_version (stream=? AND version>? AND version<?)",
		sqlStreamVersion:  "SEARCH events USING COVERING INDEX events_stream_version (stream=?)",
		sqlLogForward:     "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)",
		sqlLogBackward:    "SEARCH events USING INTEGER PRIMARY KEY (rowid<?)",
		sqlStreams:        "SEARCH events USING COVERING INDEX events_stream_version (stream>? AND stream<?)",
		sqlOldest:         "SEARCH events USING INDEX events_stream_version (stream=? AND version<?)",
		sqlGetRecord:      "SEARCH records USING INDEX records_bucket_key (bucket=? AND key=?)",
		sqlScanForward:    "SEARCH records USING INDEX records_bucket_key (bucket=? AND key>? AND key<?)",
		sqlScanBackward:   "SEARCH records USING INDEX records_bucket_key (bucket=? AND key>? AND key<?)",
		sqlSweep:          "SEARCH records USING COVERING INDEX records_expires_at (expires_at<?)",
		composed(store.Filter{Categories: []string{"a", "b"}}):                                                               "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
		composed(store.Filter{Query: store.Query{{Types: []string{"x", "y"}}}}):                                              "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
		composed(store.Filter{Query: store.Query{{Tags: []event.Tag{"k:1", "k:2"}}}}):                                        "SEARCH t USING PRIMARY KEY (tag=? AND position>? AND position<?)",
		composed(store.Filter{Query: store.Query{{Tags: []event.Tag{"a"}}, {Tags: []event.Tag{"b"}, Types: []string{"x"}}}}): "SEARCH t USING PRIMARY KEY (tag=? AND position>? AND position<?)",
	} {
		text, err := plan(c, sql)
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%s\ngot the plan\n%s\nwant one with %s (%v)", sql, text, want, err)
		}
		if strings.Contains(text, "SCAN e") || strings.Contains(text, "SCAN event") {
			t.Errorf("%s\nwalks over a whole table:\n%s", sql, text)
		}
	}
}

func plan(c *sqlite.Conn, sql string) (string, error) {
	stmt, err := c.Prepare("explain query plan " + sql)
	if err != nil {
		return "", err
	}
	var steps []string
	for {
		row, err := stmt.Step()
		if err != nil || !row {
			return strings.Join(steps, "\n"), err
		}
		steps = append(steps, stmt.GetText("detail"))
	}
}

func TestViewShowsEventsAsText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	b := openTest(t, path, Options{})
	c := commitOf("order-7", []byte(`{"total":42}`)...)
	e := &c.Appends[0].Events[0]
	e.Tags = []event.Tag{"k:1"}
	e.Metadata.Actor = "zoe"
	if _, err := b.Append(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	reader, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	rows := 0
	err = sqlitex.ExecuteTransient(reader, `select *, data ->> 'total' as total, tags ->> 0 as tag, metadata ->> 'actor' as actor from events_json`,
		&sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			rows++
			for column, want := range map[string]string{
				"id": e.ID.String(), "stream": "order-7", "total": "42", "tag": "k:1", "actor": "zoe", "occurred_at": "0001-01-01T00:00:00.000Z",
			} {
				if got := stmt.GetText(column); got != want {
					t.Errorf("%s is %q, want %q", column, got, want)
				}
			}
			return nil
		}})
	if err != nil || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
}
