package migrate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
)

// shop fills a store with what remake has something to do with: orders, of which each has some lines, and debug events.
func shop(t *testing.T, s *store.Store, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		stream := event.StreamID(fmt.Sprintf("order-%d", i%7))
		e := event.Pending{Type: "line", Data: fmt.Appendf(nil, `{"n":%d}`, i), Tags: []event.Tag{"x:1"}, Metadata: event.Metadata{Actor: "me", Custom: map[string]string{"a": "<b>"}}}
		switch i % 10 {
		case 3:
			e.Type = "debug"
		case 5:
			e.Type = "changed"
		case 9:
			e.Type, e.SchemaVersion, e.ContentType = "blob", 3, "application/x-blob"
		}
		mustAppend(t, s, stream, e)
	}
}

// remake renames, drops, splits into two streams, moves, and merges each three lines into one, with what is left at the
// end where it is told to hold nothing back.
func remake(category string, ends bool) func() migrate.Transform {
	return func() migrate.Transform {
		var lines []string
		var last event.Recorded
		merged := func() migrate.Output {
			data, _ := json.Marshal(lines)
			lines = nil
			return migrate.Output{Stream: event.StreamID(category + "-lines"), Event: event.Pending{Type: "lines", SchemaVersion: 2, Data: data, Tags: last.Tags}}
		}
		t := migrate.Transform{Event: func(e event.Recorded) ([]migrate.Output, error) {
			out, err := migrate.Same(e)
			out.Stream = event.StreamID(category + "-" + e.Stream.Key())
			switch e.Type {
			case "debug":
				return nil, err
			case "changed":
				other := out
				out.Event.Type, other.Event.Type, other.Stream = "changed.a", "changed.b", event.StreamID(category+"-log")
				return []migrate.Output{out, other, out}, err
			case "line":
				if lines = append(lines, string(e.Data)); len(lines) == 3 {
					last = e
					return []migrate.Output{merged()}, err
				}
				return nil, err
			}
			return []migrate.Output{out}, err
		}}
		if ends {
			t.End = func() ([]migrate.Output, error) {
				if len(lines) == 0 {
					return nil, nil
				}
				return []migrate.Output{merged()}, nil
			}
		}
		return t
	}
}

// events lists the events of some categories of a store.
func events(t *testing.T, s *store.Store, categories ...string) (list []string) {
	t.Helper()
	for e, err := range s.ReadLog(t.Context(), store.LogRead{Filter: store.Filter{Categories: categories}}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %s %s", e.Stream, e.Type, e.Data))
	}
	return list
}

func mustTransform(t *testing.T, from, to *store.Store, m func() migrate.Transform, o migrate.TransformOptions) migrate.Transformed {
	t.Helper()
	done, err := migrate.CopyTransformed(t.Context(), from, to, m, o)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func mustBeProven(t *testing.T, from, to *store.Store, m func() migrate.Transform, o migrate.TransformOptions) migrate.Compared {
	t.Helper()
	compared, err := migrate.CompareTransformed(t.Context(), from, to, m, o)
	if err != nil {
		t.Fatal(err)
	}
	if !compared.OK() || compared.Source.SHA256 != compared.Target.SHA256 || compared.Source.Events != compared.Target.Events || compared.Source.Events == 0 {
		t.Fatalf("the copy is not what it should be: %+v", compared)
	}
	return compared
}

func TestACopyWithATransformIsWhatTheTransformGivesAndGoesOnWithWhatCame(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		from, to := memory(), store.New(open(), store.Options{})
		o := migrate.TransformOptions{BatchEvents: 16}
		shop(t, from, 0, 100)
		first := mustTransform(t, from, to, remake("order", false), o)
		mustBeProven(t, from, to, remake("order", false), o)
		shop(t, from, 100, 55)
		second := mustTransform(t, from, to, remake("order", false), o)
		compared := mustBeProven(t, from, to, remake("order", false), o)
		if first.Events != 100 || second.Events != 55 || second.Begun != 100 || second.Position != 155 || second.Total != compared.Target.Events || first.Written+second.Written != second.Total {
			t.Errorf("got %+v, then %+v", first, second)
		}
		// The same as what one call makes of all of it.
		whole := memory()
		mustTransform(t, from, whole, remake("order", false), migrate.TransformOptions{})
		if once := mustBeProven(t, from, whole, remake("order", false), o); once.Target.SHA256 != compared.Target.SHA256 {
			t.Error("a copy in two parts is another one than a copy in one")
		}
		if list := events(t, whole, "order"); list[0] != `order-lines lines ["{\"n\":0}","{\"n\":1}","{\"n\":2}"]` {
			t.Errorf("the first event is %s", list[0])
		}
		if again := mustTransform(t, from, to, remake("order", false), o); again.Written != 0 || again.Events != 0 {
			t.Errorf("a call with nothing to do did %+v", again)
		}
	})
}

func TestACopyWithinAStoreGoesIntoOtherStreams(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		s := store.New(open(), store.Options{})
		o := migrate.TransformOptions{BatchEvents: 16, Name: "to-purchases", Filter: store.Filter{Categories: []string{"order"}}, Into: []string{"purchase"}}
		shop(t, s, 0, 60)
		mustAppend(t, s, "other-1", event.Pending{Type: "line", Data: []byte("{}")})
		before := events(t, s, "order", "other")
		mustTransform(t, s, s, remake("purchase", false), o)
		shop(t, s, 60, 31)
		second := mustTransform(t, s, s, remake("purchase", false), o)
		compared := mustBeProven(t, s, s, remake("purchase", false), o)
		if second.Total != compared.Target.Events || second.Events != 31 {
			t.Errorf("got %+v; the target has %d", second, compared.Target.Events)
		}
		whole := memory()
		shop(t, whole, 0, 91)
		mustTransform(t, whole, whole, remake("purchase", false), migrate.TransformOptions{Filter: o.Filter, Into: o.Into})
		if got, want := events(t, s, "purchase"), events(t, whole, "purchase"); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if after := events(t, s, "order", "other"); !slices.Equal(after[:len(before)], before) {
			t.Error("the source has changed")
		}
		if again := mustTransform(t, s, s, remake("purchase", false), o); again.Written != 0 || again.Events != 0 {
			t.Errorf("a call with nothing to do did %+v", again)
		}
	})
}

func TestACopyThatIsCancelledAnywhereGoesOnWithoutLossOrDoubles(t *testing.T) {
	for _, within := range []bool{false, true} {
		t.Run(fmt.Sprintf("within %t", within), func(t *testing.T) {
			from, to := memory(), memory()
			o := migrate.TransformOptions{BatchEvents: 10}
			if within {
				to, o.Filter.Categories, o.Into = from, []string{"order"}, []string{"purchase"}
			}
			shop(t, from, 0, 200)
			for calls := 1; ; calls++ {
				ctx, cancel := context.WithCancel(t.Context())
				batches := 0
				o.Progress = func(migrate.Progress) {
					if batches++; batches == 1+calls {
						cancel()
					}
				}
				done, err := migrate.CopyTransformed(ctx, from, to, remake("purchase", false), o)
				cancel()
				if err == nil {
					if calls < 4 || done.Position < 200 {
						t.Errorf("%d calls: %+v", calls, done)
					}
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			}
			o.Progress = nil
			mustBeProven(t, from, to, remake("purchase", false), o)
		})
	}
}

func TestWhatATransformHoldsBackComesAtTheEndOnce(t *testing.T) {
	from, to := memory(), memory()
	shop(t, from, 0, 50)
	o := migrate.TransformOptions{}
	done := mustTransform(t, from, to, remake("order", true), o)
	mustBeProven(t, from, to, remake("order", true), o)
	again := mustTransform(t, from, to, remake("order", true), o)
	if !done.Ended || !again.Ended || again.Written != 0 {
		t.Errorf("got %+v, then %+v", done, again)
	}
	shop(t, from, 50, 1)
	if _, err := migrate.CopyTransformed(t.Context(), from, to, remake("order", true), o); !errors.Is(err, migrate.ErrEnded) {
		t.Errorf("a copy that has ended went on: %v", err)
	}
}

func TestADeletedStreamIsDeletedInTheCopyToo(t *testing.T) {
	for _, within := range []bool{false, true} {
		from, to := memory(), memory()
		o := migrate.TransformOptions{Stateless: true}
		if within {
			to, o.Filter.Categories, o.Into = from, []string{"order"}, []string{"purchase"}
		}
		rules, err := migrate.ParseRules([]byte(`{"rules":[{"move_category":{"from":"order","to":"purchase"}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		shop(t, from, 0, 30)
		mustTransform(t, from, to, rules.New, o)
		if _, err := from.Delete(t.Context(), "order-3", store.Any()); err != nil {
			t.Fatal(err)
		}
		shop(t, memory(), 0, 1)
		mustAppend(t, from, "order-1", event.Pending{Type: "line", Data: []byte("{}")})
		mustTransform(t, from, to, rules.New, o)
		mustTransform(t, from, to, rules.New, o)
		info, err := to.StreamInfo(t.Context(), "purchase-3")
		if err != nil || !info.Deleted {
			t.Errorf("within %t: the copy of the deleted stream is there: %+v (%v)", within, info, err)
		}
		mustBeProven(t, from, to, rules.New, o)
	}
}

func TestATransformThatChangesItsMindIsFoundOut(t *testing.T) {
	from, to := memory(), memory()
	shop(t, from, 0, 40)
	o := migrate.TransformOptions{}
	mustTransform(t, from, to, remake("order", false), o)
	other := func() migrate.Transform {
		return migrate.Transform{Event: func(e event.Recorded) ([]migrate.Output, error) {
			out, err := migrate.Same(e)
			return []migrate.Output{out}, err
		}}
	}
	shop(t, from, 40, 1)
	if _, err := migrate.CopyTransformed(t.Context(), from, to, other, o); !errors.Is(err, migrate.ErrDifferent) {
		t.Errorf("another transform went on with the copy: %v", err)
	}
	compared, err := migrate.CompareTransformed(t.Context(), from, to, other, o)
	if err != nil || compared.OK() || len(compared.Differences) == 0 || compared.Source.SHA256 == compared.Target.SHA256 {
		t.Errorf("got %+v (%v)", compared, err)
	}
	// A log of somebody else.
	if _, err := migrate.CopyTransformed(t.Context(), to, from, other, migrate.TransformOptions{}); !errors.Is(err, migrate.ErrDifferent) {
		t.Errorf("it was taken for a copy: %v", err)
	}
}

func TestAFaultyCopyWithATransformIsRefusedBeforeItWrites(t *testing.T) {
	from, to := memory(), memory()
	shop(t, from, 0, 10)
	gives := func(out migrate.Output, err error) func() migrate.Transform {
		return func() migrate.Transform {
			return migrate.Transform{Event: func(event.Recorded) ([]migrate.Output, error) { return []migrate.Output{out}, err }}
		}
	}
	good := migrate.Output{Stream: "a-1", Event: event.Pending{Type: "a"}}
	within := store.Filter{Categories: []string{"order"}}
	for name, c := range map[string]struct {
		to     *store.Store
		make   func() migrate.Transform
		o      migrate.TransformOptions
		phrase string
	}{
		"no transform":           {to, nil, migrate.TransformOptions{}, "function for events"},
		"faulty name":            {to, gives(good, nil), migrate.TransformOptions{Name: "a/b"}, "letters"},
		"same store":             {from, gives(good, nil), migrate.TransformOptions{}, "Filter"},
		"into what is read":      {from, gives(good, nil), migrate.TransformOptions{Filter: within, Into: []string{"order"}}, "both read and written"},
		"into for another":       {to, gives(good, nil), migrate.TransformOptions{Into: []string{"order"}}, "within one store"},
		"outside of into":        {from, gives(good, nil), migrate.TransformOptions{Filter: within, Into: []string{"b"}}, "stream a-1"},
		"schedule":               {to, gives(good, nil), migrate.TransformOptions{Schedule: migrate.Schedule{From: -1, EventsPerSecond: -1}}, "EventsPerSecond"},
		"it fails":               {to, gives(good, errors.New("no idea")), migrate.TransformOptions{}, "position 1"},
		"bad output":             {to, gives(migrate.Output{Stream: "a-1"}, nil), migrate.TransformOptions{}, "output 1"},
		"too large":              {to, gives(migrate.Output{Stream: "a-1", Event: event.Pending{Type: "a", Data: make([]byte, 2<<20)}}, nil), migrate.TransformOptions{}, "size"},
		"tombstone":              {to, gives(migrate.Output{Stream: "a-1", Event: event.Pending{Type: event.TombstoneType}}, nil), migrate.TransformOptions{}, "Deleted"},
		"category of the copies": {from, gives(good, nil), migrate.TransformOptions{Filter: within, Into: []string{"migration"}}, "migration"},
	} {
		_, err := migrate.CopyTransformed(t.Context(), from, c.to, c.make, c.o)
		if err == nil || !strings.Contains(err.Error(), c.phrase) {
			t.Errorf("%s: got %v, want a word of %q", name, err, c.phrase)
		}
		if _, plan := migrate.PlanTransformed(t.Context(), from, c.to, c.make, c.o); plan == nil || !strings.Contains(plan.Error(), c.phrase) {
			t.Errorf("%s: the plan gives %v", name, plan)
		}
	}
	if head, err := to.Head(t.Context()); err != nil || head != 0 {
		t.Errorf("%d events were written (%v)", head, err)
	}
}

func TestAPlanSaysWhatWouldComeOutAndWritesNothing(t *testing.T) {
	from, to := memory(), memory()
	shop(t, from, 0, 100)
	plan, err := migrate.PlanTransformed(t.Context(), from, to, remake("order", true), migrate.TransformOptions{MaxExamples: 2})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Events != 100 || plan.Dropped != 10+47 || plan.Split != 10 || plan.Renamed != 23 || plan.Unchanged != 10 || plan.HeldBack != 1 || plan.Outputs != 30+23+10+1 {
		t.Errorf("got %+v", plan)
	}
	kinds := map[string]int{}
	for _, e := range plan.Examples {
		kinds[e.Kind]++
	}
	if kinds["dropped"] != 2 || kinds["split"] != 2 || kinds["renamed"] != 2 {
		t.Errorf("examples: %v", kinds)
	}
	if head, err := to.Head(t.Context()); err != nil || head != 0 {
		t.Errorf("the plan has written %d events (%v)", head, err)
	}
	done := mustTransform(t, from, to, remake("order", true), migrate.TransformOptions{})
	if done.Written != plan.Outputs {
		t.Errorf("%d were written, the plan said %d", done.Written, plan.Outputs)
	}
}

func TestACopyKeepsToItsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins at midnight UTC, 1 January 2000
		from, to := memory(), memory()
		shop(t, from, 0, 100)
		begun := time.Now()
		var at []time.Duration
		o := migrate.TransformOptions{BatchEvents: 10, Stateless: true, Schedule: migrate.Schedule{
			At: begun.Add(time.Hour), From: 22 * time.Hour, Until: 5 * time.Hour, Location: time.UTC, EventsPerSecond: 10.0 / 3600,
		}, Progress: func(migrate.Progress) { at = append(at, time.Since(begun).Round(time.Hour)) }}
		mustTransform(t, from, to, remake("order", false), o)
		want := "[1h0m0s 2h0m0s 3h0m0s 4h0m0s 22h0m0s 23h0m0s 24h0m0s 25h0m0s 26h0m0s 27h0m0s 27h0m0s]"
		if fmt.Sprint(at) != want {
			t.Errorf("batches at %v, want %s", at, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o.Schedule = migrate.Schedule{At: time.Now().Add(time.Hour)}
		if _, err := migrate.CopyTransformed(ctx, from, memory(), remake("order", false), o); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a copy that waits cannot be cancelled: %v", err)
		}
	})
}
