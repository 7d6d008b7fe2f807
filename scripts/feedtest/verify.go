package main

import (
	"context"
	"encoding/json"
	"fmt"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/projection"
	"lexigram.dev/events/store"
)

// verify compares what the consumers have made with the log.
func (t *feedtest) verify(ctx context.Context, s *store.Store, m *models, l *load) error {
	want, events, err := fold(ctx, s)
	if err != nil {
		return err
	}
	if events != l.appended.Load() {
		return fmt.Errorf("%d events were appended, the log holds %d", l.appended.Load(), events)
	}
	if err := compareDocuments(ctx, m, want); err != nil {
		return err
	}
	fmt.Printf("documents:   %d equal a fold of the log: none of %d events is missing or counted twice\n", len(want), events)
	if err := compareTable(ctx, m, want); err != nil {
		return err
	}
	fmt.Printf("table:       %d rows equal it too\n", len(want))
	for _, name := range []string{handledLedger, publishedLedger} {
		lines, err := t.checkLedger(name, want)
		if err != nil {
			return err
		}
		fmt.Printf("%-12s all %d events in the order of their streams, %d again after a kill\n", name+":", events, lines-events)
	}
	letters, err := deadletter.New(s, deadletter.Options{}).Count(ctx, deadletter.Filter{})
	if err != nil {
		return err
	}
	if int64(letters) != l.poisoned.Load() {
		return fmt.Errorf("%d events are poisoned, and %d dead letters are there", l.poisoned.Load(), letters)
	}
	fmt.Printf("poison:      each of %d events is one dead letter, and nothing else is\n", letters)
	fmt.Println("feedtest: ok")
	return nil
}

// fold gives what the streams come to, by their keys.
func fold(ctx context.Context, s *store.Store) (map[string]*total, int64, error) {
	totals, events := map[string]*total{}, int64(0)
	for e, err := range s.ReadLog(ctx, store.LogRead{}) {
		if err != nil {
			return nil, 0, err
		}
		var data added
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return nil, 0, err
		}
		t := totals[e.Stream.Key()]
		if t == nil {
			t = &total{}
			totals[e.Stream.Key()] = t
		}
		t.add(data.N, e.Version)
		events++
	}
	return totals, events, nil
}

func compareDocuments(ctx context.Context, m *models, want map[string]*total) error {
	found := 0
	for doc, err := range m.docs.List(ctx, projection.Page{}) {
		if err != nil {
			return err
		}
		if want[doc.Key] == nil || *want[doc.Key] != doc.Value {
			return fmt.Errorf("document %s is %+v, the log says %+v", doc.Key, doc.Value, want[doc.Key])
		}
		found++
	}
	if found != len(want) {
		return fmt.Errorf("%d documents, the log has %d streams", found, len(want))
	}
	return nil
}

func compareTable(ctx context.Context, m *models, want map[string]*total) error {
	live, err := m.table.Live(ctx)
	if err != nil {
		return err
	}
	rows, err := m.rows.rows(ctx, live)
	if err != nil {
		return err
	}
	if len(rows) != len(want) {
		return fmt.Errorf("%d rows, the log has %d streams", len(rows), len(want))
	}
	for stream, row := range rows {
		w := want[event.StreamID(stream).Key()]
		if w == nil || row.Events != w.Events || row.Sum != w.Sum {
			return fmt.Errorf("the row of %s is %+v, the log says %+v", stream, row, w)
		}
	}
	return m.rows.store.Transact(ctx, func(ctx context.Context) error { return m.rows.drop(ctx, live) })
}

// checkLedger checks that each event stands there, the first time behind its predecessor in the stream.
func (t *feedtest) checkLedger(name string, want map[string]*total) (lines int64, err error) {
	highest := map[string]event.Version{}
	err = readLedger(t.folder, name, func(stream string, version event.Version) error {
		lines++
		if version > highest[stream]+1 {
			return fmt.Errorf("line %d: version %d of %s was handled after version %d: those between were skipped, or come late", lines, version, stream, highest[stream])
		}
		highest[stream] = max(highest[stream], version)
		return nil
	})
	if err != nil {
		return lines, err
	}
	for key, w := range want {
		if got := highest["account-"+key]; got != w.Last {
			return lines, fmt.Errorf("%s: stream account-%s was handled up to version %d of %d", name, key, got, w.Last)
		}
	}
	return lines, nil
}
