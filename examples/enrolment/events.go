package main

import (
	"errors"

	"lexigram.dev/events/event"
	"lexigram.dev/events/schema"
)

// The stored names of the events.
const (
	typeDefined   = "course.defined"
	typeEnrolled  = "student.enrolled"
	typeWithdrawn = "student.withdrawn"
)

// CourseDefined says that a course exists, and how many students it takes.
type CourseDefined struct {
	Course   string `json:"course"`
	Capacity int    `json:"capacity"`
}

// StudentEnrolled says that a student takes part in a course.
type StudentEnrolled struct {
	Student string `json:"student"`
	Course  string `json:"course"`
}

// StudentWithdrew says that a student takes part no longer.
type StudentWithdrew struct {
	Student string `json:"student"`
	Course  string `json:"course"`
}

func courseTag(course string) event.Tag   { return event.Tag("course:" + course) }
func studentTag(student string) event.Tag { return event.Tag("student:" + student) }

// EventTags implements schema.Tagged.
func (e CourseDefined) EventTags() []event.Tag { return []event.Tag{courseTag(e.Course)} }

// EventTags implements schema.Tagged: an enrolment counts for the course and for the student.
func (e StudentEnrolled) EventTags() []event.Tag {
	return []event.Tag{courseTag(e.Course), studentTag(e.Student)}
}

// EventTags implements schema.Tagged.
func (e StudentWithdrew) EventTags() []event.Tag {
	return []event.Tag{courseTag(e.Course), studentTag(e.Student)}
}

func registerEvents(r *schema.Registry) error {
	return errors.Join(
		schema.Register[CourseDefined](r, typeDefined, schema.Options{}),
		schema.Register[StudentEnrolled](r, typeEnrolled, schema.Options{}),
		schema.Register[StudentWithdrew](r, typeWithdrawn, schema.Options{}),
	)
}
