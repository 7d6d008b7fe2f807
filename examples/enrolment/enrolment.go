package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
	"lexigram.dev/events/store"
)

// maxCourses is how many courses a student may take at once.
const maxCourses = 3

// The refusals. They are answers, not failures.
var (
	ErrNoPlaces    = errors.New("a course needs at least one place")
	ErrNoCourse    = errors.New("there is no such course")
	ErrCourseKnown = errors.New("the course exists already")
	ErrCourseFull  = errors.New("the course is full")
	ErrTooMany     = fmt.Errorf("the student takes %d courses already", maxCourses)
	ErrEnrolled    = errors.New("the student is enrolled already")
	ErrNotEnrolled = errors.New("the student is not enrolled")
)

// Enrolment makes all decisions of the example.
type Enrolment struct {
	Store  *store.Store
	Schema *schema.Registry
	Retry  aggregate.Retry
}

// standing is what a decision about one student and one course must know. It comes from the events of that course and of
// that student, in whatever streams they are.
type standing struct {
	student, course string
	capacity        int      // of the course; 0: it does not exist
	taken           int      // places of the course
	courses         []string // of the student
}

func (s standing) evolve(e any) standing {
	switch e := e.(type) {
	case CourseDefined:
		s.capacity = e.Capacity
	case StudentEnrolled:
		if e.Course == s.course {
			s.taken++
		}
		if e.Student == s.student {
			s.courses = append(s.courses, e.Course)
		}
	case StudentWithdrew:
		if e.Course == s.course {
			s.taken--
		}
		if e.Student == s.student {
			s.courses = slices.DeleteFunc(s.courses, func(c string) bool { return c == e.Course })
		}
	}
	return s
}

// query selects exactly the events that evolve looks at. It is the consistency boundary: only they can make a decision
// wrong, so only they make it start over.
func (s standing) query() store.Query {
	moves := []string{typeEnrolled, typeWithdrawn}
	query := store.Query{{Types: append([]string{typeDefined}, moves...), Tags: []event.Tag{courseTag(s.course)}}}
	if s.student != "" {
		query = append(query, store.QueryItem{Types: moves, Tags: []event.Tag{studentTag(s.student)}})
	}
	return query
}

// Define offers a course.
func (e *Enrolment) Define(ctx context.Context, course string, capacity int) error {
	return e.decide(ctx, standing{course: course}, func(s standing) (any, error) {
		switch {
		case capacity < 1:
			return nil, ErrNoPlaces
		case s.capacity > 0:
			return nil, ErrCourseKnown
		}
		return CourseDefined{Course: course, Capacity: capacity}, nil
	})
}

// Enrol gives a student a place, if the course has one left and the student may take one more course.
func (e *Enrolment) Enrol(ctx context.Context, student, course string) error {
	return e.decide(ctx, standing{student: student, course: course}, func(s standing) (any, error) {
		switch {
		case s.capacity == 0:
			return nil, ErrNoCourse
		case slices.Contains(s.courses, course):
			return nil, ErrEnrolled
		case s.taken >= s.capacity:
			return nil, ErrCourseFull
		case len(s.courses) >= maxCourses:
			return nil, ErrTooMany
		}
		return StudentEnrolled{Student: student, Course: course}, nil
	})
}

// Withdraw gives the place back.
func (e *Enrolment) Withdraw(ctx context.Context, student, course string) error {
	return e.decide(ctx, standing{student: student, course: course}, func(s standing) (any, error) {
		if !slices.Contains(s.courses, course) {
			return nil, ErrNotEnrolled
		}
		return StudentWithdrew{Student: student, Course: course}, nil
	})
}

func (e *Enrolment) decide(ctx context.Context, about standing, decide func(standing) (any, error)) error {
	stream, err := event.NewStreamID("course", about.course)
	if err != nil {
		return err
	}
	_, err = aggregate.Decide(ctx, e.Store, e.Schema, aggregate.Decision[standing]{
		Query: about.query(),
		Fold: aggregate.Fold[standing]{
			Initial: func() standing { return about },
			Evolve:  func(s standing, change any) (standing, error) { return s.evolve(change), nil },
		},
		Decide: func(s standing) ([]any, error) {
			change, err := decide(s)
			return []any{change}, err
		},
		Stream: stream,
		Retry:  e.Retry,
	})
	return err
}

// Students lists who is enrolled in each course, in the order of enrolment, from the events alone.
func (e *Enrolment) Students(ctx context.Context) (map[string][]string, error) {
	students := map[string][]string{}
	for stored, err := range e.Store.ReadLog(ctx, store.LogRead{}) {
		if err != nil {
			return nil, err
		}
		change, err := e.Schema.Decode(&stored)
		if err != nil {
			return nil, err
		}
		switch c := change.(type) {
		case StudentEnrolled:
			students[c.Course] = append(students[c.Course], c.Student)
		case StudentWithdrew:
			students[c.Course] = slices.DeleteFunc(students[c.Course], func(s string) bool { return s == c.Student })
		}
	}
	return students, nil
}
