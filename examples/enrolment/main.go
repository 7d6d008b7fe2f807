// Enrolment is an example of decisions that span streams: students enrol in courses, a course has a number of places, and
// a student may take so many courses. No single aggregate knows both limits; a query over tagged events does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	"lexigram.dev/events"
	"lexigram.dev/events/aggregate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := tell(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "enrolment:", err)
		os.Exit(1)
	}
}

// tell plays the story and writes it to w.
func tell(ctx context.Context, w io.Writer) (err error) {
	engine, err := events.New(events.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if err = registerEvents(engine.Schema()); err != nil {
		return err
	}
	e := &Enrolment{Store: engine.Store(), Schema: engine.Schema(), Retry: aggregate.Retry{Attempts: 100}}

	say := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	try := func(what string, err error) {
		if err != nil {
			what += ": no, " + err.Error()
		}
		say("  %s", what)
	}

	say("Four courses, of 1, 5, 5 and 5 places:")
	for i, course := range []string{"chess", "go", "logic", "music"} {
		try("define "+course, e.Define(ctx, course, min(1+4*i, 5)))
	}
	try("define go again", e.Define(ctx, "go", 99))

	say("Ada may take three courses, and chess has one place:")
	for _, course := range []string{"chess", "go", "logic", "logic", "music", "dance"} {
		try("Ada → "+course, e.Enrol(ctx, "Ada", course))
	}
	try("Bob → chess", e.Enrol(ctx, "Bob", "chess"))
	try("Ada leaves chess", e.Withdraw(ctx, "Ada", "chess"))
	try("Bob → chess", e.Enrol(ctx, "Bob", "chess"))
	try("Ada → music", e.Enrol(ctx, "Ada", "music"))

	say("Forty students race for the four places left in music:")
	won, refused, err := race(ctx, e, 40, "music")
	if err != nil {
		return err
	}
	say("  %d got one, %d were told that it is full", won, refused)

	students, err := e.Students(ctx)
	if err != nil {
		return err
	}
	head, err := engine.Store().Head(ctx)
	if err != nil {
		return err
	}
	say("What the %d events say:", head)
	for _, course := range []string{"chess", "go", "logic", "music"} {
		say("  %-6s %d enrolled", course, len(students[course]))
	}
	return nil
}

// race lets n students enrol in a course at the same moment.
func race(ctx context.Context, e *Enrolment, n int, course string) (won, refused int64, err error) {
	var (
		racers sync.WaitGroup
		start  = make(chan struct{})
		yes    atomic.Int64
		no     atomic.Int64
		failed = make([]error, n)
	)
	for i := range n {
		racers.Go(func() {
			<-start
			switch err := e.Enrol(ctx, fmt.Sprintf("student %02d", i), course); {
			case err == nil:
				yes.Add(1)
			case errors.Is(err, ErrCourseFull):
				no.Add(1)
			default:
				failed[i] = err
			}
		})
	}
	close(start)
	racers.Wait()
	return yes.Load(), no.Load(), errors.Join(failed...)
}
