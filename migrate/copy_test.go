package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/migrate"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/sqlitestore"
)

func TestALogIsCopiedBetweenAnyTwoBackends(t *testing.T) {
	everystore.Each(t, func(t *testing.T, openFrom everystore.Opener) {
		from := store.New(openFrom(), store.Options{})
		fill(t, from, 24)
		if _, err := from.Truncate(t.Context(), "thing-2", 4); err != nil {
			t.Fatal(err)
		}
		if _, err := from.Delete(t.Context(), "thing-3", store.Any()); err != nil {
			t.Fatal(err)
		}
		if _, err := from.Apply(t.Context(), store.Put("b", "k", []byte("v")), store.Put("b", "l", []byte("w")).For(time.Hour)); err != nil {
			t.Fatal(err)
		}
		everystore.Each(t, func(t *testing.T, openTo everystore.Opener) {
			to := store.New(openTo(), store.Options{})
			done := mustCopy(t, from, to, migrate.Options{BatchEvents: 7, Records: true})
			c := wantSame(t, from, to, migrate.Comparison{Records: true})
			if done.Position != head(t, from) || done.Events != c.Target.Events || c.Target.Events == 0 || c.Target.Records != 2 || c.Target.Removed == 0 {
				t.Errorf("copied %+v, and hold %+v", done, c.Target)
			}
			// What comes after the copy, and truncations of what it has brought.
			grow(t, from)
			done = mustCopy(t, from, to, migrate.Options{Records: true})
			c = wantSame(t, from, to, migrate.Comparison{Records: true})
			if done.Truncated == 0 || done.Begun == 0 {
				t.Errorf("copied %+v", done)
			}
			if again := mustCopy(t, from, to, migrate.Options{Records: true}); again.Events != 0 || again.Truncated != 0 || again.Records != 0 {
				t.Errorf("a copy of what is there already did %+v", again)
			}
			res, err := to.Append(t.Context(), "thing-1", store.StreamExists(), event.Pending{Type: "x"})
			if err != nil || res.First != c.Position+1 {
				t.Errorf("the copy goes on with %+v, %v; want position %d", res, err, c.Position+1)
			}
		})
	})
}

// grow appends to a log, and truncates and deletes what it held before.
func grow(t *testing.T, s *store.Store) {
	t.Helper()
	mustAppend(t, s, "thing-0", event.Pending{Type: "more"}, event.Pending{Type: "more"})
	info, err := s.StreamInfo(t.Context(), "thing-1")
	if err == nil {
		_, err = s.Truncate(t.Context(), "thing-1", info.Version)
	}
	if err != nil {
		t.Fatal(err)
	}
	stream := event.StreamID("gone-" + event.NewID().String())
	mustAppend(t, s, stream, event.Pending{Type: "a"}, event.Pending{Type: "b"})
	if _, err := s.Delete(t.Context(), stream, store.Any()); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, "thing-1", event.Pending{Type: "more"}, event.Pending{Type: "more"})
}

func TestACopyThatIsKilledGoesOnWhereItWas(t *testing.T) {
	killed := errors.New("killed")
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		from, target := memory(), open()
		fill(t, from, 40)
		to := store.New(target, store.Options{})
		for n := range int64(4) {
			for _, stored := range []bool{false, true} {
				broken := &flaky{all: target.(all), fail: func(i int64) (before, after error) {
					if i == n && stored {
						return nil, killed
					}
					if i == n {
						return killed, nil
					}
					return nil, nil
				}}
				_, err := migrate.Copy(t.Context(), from, store.New(broken, store.Options{}), migrate.Options{BatchEvents: 5})
				if n > 0 && !errors.Is(err, killed) && broken.imports.Load() >= n {
					t.Fatalf("killed at import %d: %v", n, err)
				}
				fill(t, from, 5*4)
			}
		}
		done := mustCopy(t, from, to, migrate.Options{})
		if done.Begun == 0 {
			t.Errorf("it began anew: %+v", done)
		}
		wantSame(t, from, to, migrate.Comparison{})
	})
}

func TestAnInterruptedCopySaysHowFarItCame(t *testing.T) {
	from, to := memory(), memory()
	fill(t, from, 50)
	ctx, cancel := context.WithCancel(t.Context())
	done, err := migrate.Copy(ctx, from, to, migrate.Options{BatchEvents: 10, Progress: func(p migrate.Progress) {
		if p.Position == 20 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || done.Position < 20 || done.Position == head(t, from) || done.Position != head(t, to) {
		t.Fatalf("copied %+v, %v; the target ends at %d", done, err, head(t, to))
	}
	if again := mustCopy(t, from, to, migrate.Options{}); again.Begun != done.Position {
		t.Errorf("the next one began at %d, want %d", again.Begun, done.Position)
	}
	wantSame(t, from, to, migrate.Comparison{})
}

func TestAnOutageIsWaitedFor(t *testing.T) {
	outage := fmt.Errorf("%w: gone", store.ErrUnavailable)
	synctest.Test(t, func(t *testing.T) {
		from, target := memory(), memstore.New(memstore.Options{})
		fill(t, from, 50)
		to := &flaky{all: target, fail: func(n int64) (before, after error) {
			switch {
			case n < 8:
				return outage, nil
			case n%2 == 0:
				return nil, outage // stored, and nobody knows
			}
			return nil, nil
		}}
		mustCopy(t, from, store.New(to, store.Options{}), migrate.Options{BatchEvents: 5})
		wantSame(t, from, store.New(target, store.Options{}), migrate.Comparison{})
		to.fail = func(int64) (before, after error) { return outage, nil }
		fill(t, from, 1)
		start := time.Now()
		_, err := migrate.Copy(t.Context(), from, store.New(to, store.Options{}), migrate.Options{Patience: 10 * time.Second})
		if took := time.Since(start); !errors.Is(err, store.ErrUnavailable) || took < 10*time.Second || took > 15*time.Second {
			t.Errorf("after %v: %v; want that it is unavailable, after 10 s", took, err)
		}
	})
}

func TestFollowsASourceThatIsWrittenToUntilTheSwitchOver(t *testing.T) {
	everystore.Quick(t, func(t *testing.T, open everystore.Opener) {
		from, to := store.New(open(), store.Options{}), memory()
		fill(t, from, 30)
		caughtUp, over := make(chan struct{}), make(chan struct{})
		var once sync.Once
		var wg sync.WaitGroup
		wg.Go(func() {
			done, err := migrate.Copy(t.Context(), from, to, migrate.Options{SwitchOver: over, Progress: func(p migrate.Progress) {
				if p.CaughtUp {
					once.Do(func() { close(caughtUp) })
				}
			}})
			if err != nil || done.Behind != 0 || done.Position != head(t, from) {
				t.Errorf("copied %+v, %v; the source ends at %d", done, err, head(t, from))
			}
		})
		<-caughtUp
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := range 50 {
					stream := event.StreamID(fmt.Sprintf("load-%d", w))
					if _, err := from.Append(t.Context(), stream, store.Exactly(event.Version(i)), event.Pending{Type: "x", Data: []byte("1")}); err != nil {
						t.Error(err)
						return
					}
					if i%20 == 19 {
						if _, err := from.Truncate(t.Context(), stream, event.Version(i-5)); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		writers.Wait()
		close(over)
		wg.Wait()
		wantSame(t, from, to, migrate.Comparison{})
	})
}

func TestFollowingIsWokenUpOrPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, from := range map[string]*store.Store{
			"wakes": memory(),
			"polls": store.New(struct{ store.Backend }{memstore.New(memstore.Options{})}, store.Options{}), // no Waker
		} {
			to := memory()
			over, done := make(chan struct{}), make(chan error)
			go func() {
				_, err := migrate.Copy(t.Context(), from, to, migrate.Options{SwitchOver: over, PollInterval: time.Minute})
				done <- err
			}()
			synctest.Wait()
			mustAppend(t, from, "a-1", event.Pending{Type: "x"})
			synctest.Wait()
			if got := head(t, to); name == "wakes" && got != 1 || name == "polls" && got != 0 {
				t.Errorf("%s: at once the target ends at %d", name, got)
			}
			<-time.After(2 * time.Minute) // of the test's own clock
			if got := head(t, to); got != 1 {
				t.Errorf("%s: the target ends at %d, want 1", name, got)
			}
			close(over)
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// lateWriter is a target during whose last step somebody writes to the source.
type lateWriter struct {
	all
	write func()
}

func (l lateWriter) Buckets(ctx context.Context) ([]string, error) {
	l.write()
	return l.all.Buckets(ctx)
}

func TestASourceThatIsStillWrittenToAtTheSwitchOverIsReported(t *testing.T) {
	from, to := memory(), memory()
	fill(t, from, 5)
	late := lateWriter{all: to.Backend().(all), write: func() { mustAppend(t, from, "late-1", event.Pending{Type: "x"}, event.Pending{Type: "x"}) }}
	done := mustCopy(t, from, store.New(late, store.Options{}), migrate.Options{Records: true})
	if done.Behind != 2 {
		t.Errorf("copied %+v, want it to be 2 behind", done)
	}
	wantSame(t, from, to, migrate.Comparison{UpTo: done.Position})
	c, err := migrate.Compare(t.Context(), from, to, migrate.Comparison{})
	if err != nil || len(c.Differences) != 3 || c.Differences[0].Field != "event" || c.Differences[2].Field != "stream" {
		t.Errorf("got %+v, %v; want two events and a stream that are missing", c, err)
	}
}

func TestTwoCopiesIntoOneTargetAtOnceAreSafe(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		from := memory()
		fill(t, from, 100)
		var wg sync.WaitGroup
		total := make([]int64, 2)
		for i := range total {
			to := store.New(open(), store.Options{})
			wg.Go(func() {
				done, err := migrate.Copy(t.Context(), from, to, migrate.Options{BatchEvents: 3 + i})
				if err != nil {
					t.Error(err)
				}
				total[i] = done.Events
			})
		}
		wg.Wait()
		c := wantSame(t, from, store.New(open(), store.Options{}), migrate.Comparison{})
		if total[0]+total[1] != c.Target.Events {
			t.Errorf("they copied %v of %d events", total, c.Target.Events)
		}
	})
}

func TestAWriterToTheTargetIsNoticed(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		from, to := memory(), store.New(open(), store.Options{})
		fill(t, from, 30)
		var once sync.Once
		_, err := migrate.Copy(t.Context(), from, to, migrate.Options{BatchEvents: 5, Progress: func(p migrate.Progress) {
			if p.Position == 10 {
				once.Do(func() { mustAppend(t, to, "foreign-1", event.Pending{Type: "x"}) })
			}
		}})
		wantDifferent(t, err, 11, "id")
		if got := head(t, to); got != 11 {
			t.Errorf("the target ends at %d, want 11", got)
		}
	})
}

func wantDifferent(t *testing.T, err error, at event.Position, field string) {
	t.Helper()
	var different *migrate.DifferentError
	if !errors.As(err, &different) || !errors.Is(err, migrate.ErrDifferent) || different.Difference.Position != at || different.Difference.Field != field {
		t.Errorf("got %v, want the %s at position %d to differ", err, field, at)
	}
}

func TestATargetWithOtherContentIsRefused(t *testing.T) {
	from := memory()
	fill(t, from, 20)
	for name, c := range map[string]struct {
		spoil func(to *store.Store)
		at    event.Position
		field string
	}{
		"other data": {func(to *store.Store) { fill(t, to, 3) }, 1, "id"},
		"more data": {func(to *store.Store) {
			mustCopy(t, from, to, migrate.Options{})
			mustAppend(t, to, "thing-1", event.Pending{Type: "x"})
		}, 24, "event"},
		"a field of one event": {func(to *store.Store) {
			var events []event.Recorded
			for e := range from.ReadLog(t.Context(), store.LogRead{Limit: 10}) {
				events = append(events, e)
			}
			events[9].RecordedAt = events[9].RecordedAt.Add(time.Microsecond)
			if err := to.Import(t.Context(), 0, events); err != nil {
				t.Fatal(err)
			}
		}, 10, "recorded_at"},
		"a first event that is missing": {func(to *store.Store) {
			mustCopy(t, from, to, migrate.Options{})
			if _, err := to.Truncate(t.Context(), "thing-0", 2); err != nil {
				t.Fatal(err)
			}
		}, 1, "event"},
	} {
		t.Run(name, func(t *testing.T) {
			to := memory()
			c.spoil(to)
			before := head(t, to)
			_, err := migrate.Copy(t.Context(), from, to, migrate.Options{})
			wantDifferent(t, err, c.at, c.field)
			_, err = migrate.Plan(t.Context(), from, to, migrate.Options{})
			wantDifferent(t, err, c.at, c.field)
			if got := head(t, to); got != before {
				t.Errorf("the target was written to: it ends at %d, not at %d", got, before)
			}
		})
	}
}

func TestATargetThatHasLostMoreThanTheSourceIsRefused(t *testing.T) {
	from, to := memory(), memory()
	fill(t, from, 20)
	mustCopy(t, from, to, migrate.Options{})
	if _, err := to.Truncate(t.Context(), "thing-2", 3); err != nil { // neither its first nor its last event
		t.Fatal(err)
	}
	_, err := migrate.Copy(t.Context(), from, to, migrate.Options{})
	var different *migrate.DifferentError
	if !errors.As(err, &different) || different.Difference.Stream != "thing-2" || different.Difference.Field != "first" {
		t.Errorf("got %v, want that stream thing-2 begins elsewhere", err)
	}
}

func TestGoesOnAlthoughTheSourceHasLostWhatTheTargetEndsWith(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		from, to := memory(), store.New(open(), store.Options{})
		mustAppend(t, from, "a-1", event.Pending{Type: "x"}, event.Pending{Type: "x"})
		mustAppend(t, from, "b-1", event.Pending{Type: "x"}, event.Pending{Type: "x"})
		mustCopy(t, from, to, migrate.Options{})
		mustAppend(t, from, "b-1", event.Pending{Type: "x"}, event.Pending{Type: "x"})
		mustAppend(t, from, "a-1", event.Pending{Type: "x"})
		for _, stream := range []event.StreamID{"a-1", "b-1"} {
			if _, err := from.Truncate(t.Context(), stream, 99); err != nil {
				t.Fatal(err)
			}
		}
		mustCopy(t, from, to, migrate.Options{})
		wantSame(t, from, to, migrate.Comparison{})
	})
}

func TestAnEventOverALimitOfTheTargetIsNamedAndWhatIsBeforeItIsCopied(t *testing.T) {
	from := memory()
	fill(t, from, 5)
	mustAppend(t, from, "large-1", event.Pending{Type: "x", Data: []byte(strings.Repeat("x", 5000))})
	fill(t, from, 5)
	to := store.New(memstore.New(memstore.Options{}), store.Options{Limits: store.Limits{MaxEventBytes: 4000}})
	for what, run := range map[string]func() error{
		"plan": func() error { _, err := migrate.Plan(t.Context(), from, to, migrate.Options{}); return err },
		"copy": func() error { _, err := migrate.Copy(t.Context(), from, to, migrate.Options{}); return err },
	} {
		if err := run(); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "position 9, version 1 of stream large-1") {
			t.Errorf("%s: %v; want that position 9 is too large", what, err)
		}
	}
	if got := head(t, to); got != 8 {
		t.Errorf("the target ends at %d, want 8", got)
	}
}

func TestEndsThatCannotBeUsedAreRefused(t *testing.T) {
	from := memory()
	fill(t, from, 5)
	path := t.TempDir() + "/events.db"
	b, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{AutoMigrate: true})
	if err == nil {
		err = b.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	readOnly, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = readOnly.Close() }()
	closed := memory()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from, to *store.Store
		kind     error
	}{
		"one store":                        {from, from, store.ErrInvalid},
		"a target that only reads":         {from, store.New(readOnly, store.Options{}), store.ErrReadOnly},
		"a target that cannot import":      {from, store.New(struct{ store.Backend }{memstore.New(memstore.Options{})}, store.Options{}), store.ErrUnsupported},
		"a source without list of buckets": {store.New(struct{ store.Backend }{memstore.New(memstore.Options{})}, store.Options{}), memory(), store.ErrUnsupported},
		"a closed source":                  {closed, memory(), store.ErrClosed},
		"a closed target":                  {from, closed, store.ErrClosed},
	} {
		if _, err := migrate.Copy(t.Context(), c.from, c.to, migrate.Options{Records: true}); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	if _, err := migrate.Copy(t.Context(), from, memory(), migrate.Options{BatchEvents: -1, PollInterval: -1}); !errors.Is(err, store.ErrInvalid) ||
		!strings.Contains(err.Error(), "BatchEvents") || !strings.Contains(err.Error(), "PollInterval") {
		t.Errorf("both faults must be reported: %v", err)
	}
}

func TestAPlanSaysWhatWouldBeDoneAndDoesNothing(t *testing.T) {
	from, to := memory(), memory()
	fill(t, from, 20)
	mustCopy(t, from, to, migrate.Options{})
	fill(t, from, 4)
	if _, err := from.Truncate(t.Context(), "thing-2", 4); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Apply(t.Context(), store.Put("b", "k", nil)); err != nil {
		t.Fatal(err)
	}
	p, err := migrate.Plan(t.Context(), from, to, migrate.Options{Records: true})
	if err != nil || p.Head != 30 || p.Position != 23 || p.Events != 7 || p.Truncates != 1 || p.Records != 1 || p.Bytes == 0 {
		t.Errorf("planned %+v, %v", p, err)
	}
	if got := head(t, to); got != 23 {
		t.Errorf("the target ends at %d, want 23", got)
	}
}
