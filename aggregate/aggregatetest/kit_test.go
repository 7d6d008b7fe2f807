package aggregatetest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/aggregate/aggregatetest"
)

type (
	started struct{ At time.Time }
	moved   struct {
		To     place
		Notes  []string
		secret int
	}
	place struct{ X, Y int }
)

var errLost = errors.New("lost")

type robot struct {
	aggregate.Root
	at    place
	moves int
}

func (r *robot) Apply(e any) error {
	switch e := e.(type) {
	case started:
	case moved:
		r.at, r.moves = e.To, r.moves+1
	default:
		return fmt.Errorf("unknown event %T", e)
	}
	return nil
}

func (r *robot) move(x, y int) error {
	if x == r.at.X && y == r.at.Y {
		return nil
	}
	if x < 0 {
		return fmt.Errorf("move: %w", errLost)
	}
	return aggregate.Record(r, moved{To: place{x, y}})
}

// fake collects what the kit reports.
type fake struct{ reports []string }

func (*fake) Helper() {}

func (f *fake) Errorf(format string, args ...any) {
	f.reports = append(f.reports, fmt.Sprintf(format, args...))
}

func (f *fake) wants(t *testing.T, phrases ...string) {
	t.Helper()
	if len(f.reports) != 1 {
		t.Fatalf("%d reports, want 1: %q", len(f.reports), f.reports)
	}
	for _, phrase := range phrases {
		if !strings.Contains(f.reports[0], phrase) {
			t.Errorf("the report lacks %q:\n%s", phrase, f.reports[0])
		}
	}
}

func move(x, y int) func(*robot) error { return func(r *robot) error { return r.move(x, y) } }

func TestWhatIsAsExpectedPasses(t *testing.T) {
	f := &fake{}
	aggregatetest.Given[robot](f).When(move(1, 2)).Then(moved{To: place{1, 2}}).ThenState(func(r *robot) {
		if r.moves != 1 || r.Version() != 0 {
			t.Errorf("the robot is %+v", r)
		}
	})
	aggregatetest.Given[robot](f, started{}, moved{To: place{1, 2}}).When(move(1, 2)).ThenNothing()
	aggregatetest.Given[robot](f, started{}).When(move(-1, 2)).ThenError(errLost)
	now := time.Now()
	aggregatetest.Given[robot](f).
		When(func(r *robot) error { return aggregate.Record(r, started{now}) }).
		Then(started{now.UTC().Round(0)}) // the same instant
	if len(f.reports) != 0 {
		t.Errorf("reports: %q", f.reports)
	}
}

func TestADifferenceIsShownByField(t *testing.T) {
	f := &fake{}
	aggregatetest.Given[robot](f).
		When(func(r *robot) error {
			return aggregate.Record(r, moved{To: place{1, 1}}, moved{To: place{1, 2}, Notes: []string{"a", "b"}, secret: 1}, started{})
		}).
		Then(moved{To: place{1, 1}}, moved{To: place{1, 3}, Notes: []string{"a", "c"}, secret: 2}, &started{})
	f.wants(t,
		"1. same       aggregatetest_test.moved{To:{X:1 Y:1}",
		"2. want       aggregatetest_test.moved{To:{X:1 Y:3}",
		"     got        aggregatetest_test.moved{To:{X:1 Y:2}",
		"To.Y: want 3, got 2", `Notes[1]: want "c", got "b"`, "secret: want 2, got 1",
		"the event: want the type *aggregatetest_test.started, got aggregatetest_test.started",
	)
}

func TestMissingAndUnexpectedEventsAreShown(t *testing.T) {
	f := &fake{}
	aggregatetest.Given[robot](f).When(move(1, 1)).Then(moved{To: place{1, 1}}, started{})
	f.wants(t, "want 2 events, got 1 event", "2. missing    aggregatetest_test.started")
	f = &fake{}
	aggregatetest.Given[robot](f).When(move(1, 1)).ThenNothing()
	f.wants(t, "want no events, got 1 event", "1. unexpected aggregatetest_test.moved")
}

func TestAnErrorOutOfPlaceIsShown(t *testing.T) {
	f := &fake{}
	aggregatetest.Given[robot](f).When(move(-1, 1)).Then(started{})
	f.wants(t, "want 1 event, got the error: move: lost")
	f = &fake{}
	aggregatetest.Given[robot](f).When(move(1, 1)).ThenError(errLost)
	f.wants(t, "want the error: lost", "got none, and 1 event", "moved")
	f = &fake{}
	aggregatetest.Given[robot](f).When(move(-1, 1)).ThenError(errors.New("other"))
	f.wants(t, "want the error: other", "got the error: move: lost")
	f = &fake{}
	aggregatetest.Given[robot](f).When(move(1, 1)).ThenError(nil)
	f.wants(t, "got none")
}

func TestAPastThatDoesNotFoldIsReportedOnce(t *testing.T) {
	f := &fake{}
	aggregatetest.Given[robot](f, 7).When(move(1, 1)).Then().ThenError(errLost).ThenState(func(*robot) { t.Error("called") })
	f.wants(t, "given: replay int: unknown event int")
	f = &fake{}
	aggregatetest.GivenFold(f, counter(), "x").When(up(1)).Then()
	f.wants(t, "given: fold event 1 (string)")
}

func counter() aggregate.Fold[int] {
	return aggregate.Fold[int]{
		Initial: func() int { return 10 },
		Evolve: func(n int, e any) (int, error) {
			d, ok := e.(int)
			if !ok {
				return n, fmt.Errorf("unknown event %T", e)
			}
			return n + d, nil
		},
	}
}

func up(by any) func(int) ([]any, error) {
	return func(n int) ([]any, error) {
		if n > 20 {
			return nil, errLost
		}
		return []any{by}, nil
	}
}

func TestFunctionsAreTestedLikewise(t *testing.T) {
	f := &fake{}
	aggregatetest.GivenFold(f, counter(), 5).When(up(2)).Then(2).ThenState(func(n int) {
		if n != 17 {
			t.Errorf("the state is %d, want 17", n)
		}
	})
	aggregatetest.GivenFold(f, counter(), 50).When(up(2)).ThenError(errLost)
	if len(f.reports) != 0 {
		t.Errorf("reports: %q", f.reports)
	}
	aggregatetest.GivenFold(f, counter()).When(up("x")).Then("x")
	f.wants(t, "fold event 1 (string): unknown event string")
	f = &fake{}
	aggregatetest.GivenFold(f, counter()).When(up(1)).Then(2)
	f.wants(t, "the event: want 2, got 1")
}

func ExampleGiven() {
	t := &fake{} // in a test it is the *testing.T
	aggregatetest.Given[robot](t, started{}).
		When(func(r *robot) error { return r.move(3, 4) }).
		Then(moved{To: place{3, 4}})
	fmt.Println(len(t.reports), "differences")
	// Output: 0 differences
}
