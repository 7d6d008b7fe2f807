package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lexigram.dev/events"
	"lexigram.dev/events/aggregate"
)

func newEnrolment(t *testing.T) *Enrolment {
	t.Helper()
	engine := events.Stub()
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := registerEvents(engine.Schema()); err != nil {
		t.Fatal(err)
	}
	return &Enrolment{Store: engine.Store(), Schema: engine.Schema(), Retry: aggregate.Retry{Attempts: 1000}}
}

func TestTheStoryEndsAsItShould(t *testing.T) {
	var story strings.Builder
	if err := tell(t.Context(), &story); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"define go again: no, the course exists already",
		"Ada → logic: no, the student is enrolled already",
		"Ada → music: no, the student takes 3 courses already",
		"Ada → dance: no, there is no such course",
		"Bob → chess: no, the course is full",
		"4 got one, 36 were told that it is full",
		"music  5 enrolled",
	} {
		if !strings.Contains(story.String(), line) {
			t.Errorf("the story lacks %q:\n%s", line, story.String())
		}
	}
}

func TestRacingStudentsNeverExceedTheCapacity(t *testing.T) {
	for range 10 {
		e := newEnrolment(t)
		if err := e.Define(t.Context(), "go", 7); err != nil {
			t.Fatal(err)
		}
		won, refused, err := race(t.Context(), e, 50, "go")
		if err != nil || won != 7 || refused != 43 {
			t.Fatalf("%d won, %d were refused, %v", won, refused, err)
		}
		students, err := e.Students(t.Context())
		if err != nil || len(students["go"]) != 7 {
			t.Fatalf("enrolled are %q, %v", students["go"], err)
		}
	}
}

func TestAStudentWhoRacesForManyCoursesGetsThree(t *testing.T) {
	e := newEnrolment(t)
	const courses = 12
	for i := range courses {
		if err := e.Define(t.Context(), fmt.Sprint("course", i), 5); err != nil {
			t.Fatal(err)
		}
	}
	var racers sync.WaitGroup
	answers := make([]error, courses)
	for i := range courses {
		racers.Go(func() { answers[i] = e.Enrol(t.Context(), "Ada", fmt.Sprint("course", i)) })
	}
	racers.Wait()
	won := 0
	for _, err := range answers {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrTooMany) {
			t.Error(err)
		}
	}
	if won != maxCourses {
		t.Errorf("Ada got %d courses, want %d", won, maxCourses)
	}
}

func TestOnlyWhoIsEnrolledCanWithdraw(t *testing.T) {
	e := newEnrolment(t)
	if err := e.Withdraw(t.Context(), "Ada", "go"); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("got %v", err)
	}
}

func TestACourseNeedsANameAndAPlace(t *testing.T) {
	e := newEnrolment(t)
	if err := e.Define(t.Context(), "", 1); err == nil {
		t.Error("a course without a name was defined")
	}
	if err := e.Define(t.Context(), "go", 0); !errors.Is(err, ErrNoPlaces) {
		t.Errorf("got %v", err)
	}
}
