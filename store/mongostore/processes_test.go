package mongostore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/mongostore"
)

// TestMain lets the test binary be one of several processes: with this variable it appends, and runs no test.
func TestMain(m *testing.M) {
	if spec := os.Getenv("MONGOSTORE_APPENDER"); spec != "" {
		if err := appender(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	processes       = 3
	processWriters  = 4
	processAppends  = 25
	processShared   = "shared-1" // all processes append to it
	processConflict = "race-1"   // each version of it is wanted by all
)

// appender is what each process does. It prints how often it won a version that all wanted.
func appender(spec string) error {
	url, database, _ := strings.Cut(spec, " ")
	ctx := context.Background()
	b, err := mongostore.Open(ctx, url, mongostore.Options{Database: database})
	if err != nil {
		return err
	}
	s := store.New(b, store.Options{})
	var wg sync.WaitGroup
	faults := make(chan error, processWriters)
	for w := range processWriters {
		wg.Go(func() {
			own := event.StreamID(fmt.Sprintf("own-%d-%d", os.Getpid(), w))
			for i := range processAppends {
				_, err := s.Commit(ctx, store.Commit{Appends: []store.Append{
					{Stream: own, Expected: store.Exactly(event.Version(i)), Events: []event.Pending{{Type: "x"}}},
					{Stream: processShared, Expected: store.Any(), Events: []event.Pending{{Type: "x"}, {Type: "y"}}},
				}})
				if err != nil {
					faults <- err
					return
				}
			}
		})
	}
	won := 0
	for version := range processAppends {
		if _, err := s.Append(ctx, processConflict, store.Exactly(event.Version(version)), event.Pending{Type: "won"}); err == nil {
			won++
		}
	}
	wg.Wait()
	close(faults)
	fmt.Println(won)
	if err := <-faults; err != nil {
		return err
	}
	return s.Close()
}

func TestSeveralProcessesAppendToOneLog(t *testing.T) {
	for _, variable := range []string{mongoServer, ferretServer} {
		t.Run(variable, func(t *testing.T) {
			url := testserver.URL(t, variable)
			database := newDatabase(t, url)
			s := store.New(open(t, url, mongostore.Options{Database: database}), store.Options{})
			var wg sync.WaitGroup
			wins := make([]int, processes)
			for p := range processes {
				wg.Go(func() {
					command := exec.CommandContext(t.Context(), os.Args[0])
					command.Env = append(os.Environ(), "MONGOSTORE_APPENDER="+url+" "+database)
					command.Stderr = os.Stderr
					output, err := command.Output()
					if err != nil {
						t.Errorf("process %d: %v", p, err)
						return
					}
					if wins[p], err = strconv.Atoi(strings.TrimSpace(string(output))); err != nil {
						t.Errorf("process %d printed %q", p, output)
					}
				})
			}
			wg.Wait()
			won := 0
			for _, n := range wins {
				won += n
			}
			versions := map[event.StreamID]event.Version{}
			for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
				if err != nil {
					t.Fatal(err)
				}
				if versions[e.Stream]++; e.Version != versions[e.Stream] {
					t.Fatalf("stream %s has version %d after %d", e.Stream, e.Version, versions[e.Stream]-1)
				}
			}
			if got := versions[processConflict]; int(got) != won {
				t.Errorf("%d versions were won, %d are stored", won, got)
			}
			if got, want := versions[processShared], event.Version(processes*processWriters*processAppends*2); got != want {
				t.Errorf("the shared stream has %d events, want %d", got, want)
			}
			if n := count(t, s); n != processes*processWriters*processAppends*3+won {
				t.Errorf("the log has %d events", n)
			}
		})
	}
}
