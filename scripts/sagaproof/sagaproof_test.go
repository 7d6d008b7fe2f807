package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/internal/everystore"
)

// The test binary runs itself as the workers.
func TestMain(m *testing.M) {
	if text := os.Getenv(workerEnv); text != "" {
		os.Exit(runWorker(text))
	}
	os.Exit(m.Run())
}

// small is a proof that takes seconds.
func small(store, sabotage string) *proof {
	return &proof{instances: 300, workers: 3, over: 4 * time.Second, patience: 4 * time.Minute, store: store, sabotage: sabotage}
}

func TestSagasAreAsTheLedgerSaysAfterKillsAndFreezes(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite": func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string {
			url, schema := everystore.Postgres(t)
			if strings.Contains(url, "?") {
				return url + "&schema=" + schema
			}
			return url + "?schema=" + schema
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := small(url(t), "").run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			undone := s.Compensations["reserve"].Done
			if s.Kills+s.Freezes == 0 || undone == 0 || s.Actions["confirm"].Done == 0 {
				t.Errorf("it proved little: %+v", s)
			}
			t.Logf("%d kills, %d freezes, %v, %d taken over", s.Kills, s.Freezes, s.Statuses, s.Interrupted)
		})
	}
}

func TestTheProofFindsWhatIsBroken(t *testing.T) {
	for sabotage, want := range map[string][]string{
		breakCompensation: {"the history says that the compensation of", "the ledger does not know of it"},
		breakFencing:      {"instance"}, // what it finds first depends on who was faster
		breakKeys:         {"was done, the ledger does not know of it"},
		breakUnknown:      {"was not done, the ledger has it"},
	} {
		t.Run(sabotage, func(t *testing.T) {
			t.Parallel()
			p := small("", sabotage)
			p.instances = 200
			s, err := p.run(t.Context())
			if err == nil {
				t.Fatalf("it found nothing: %+v", s)
			}
			for _, phrase := range want {
				if !strings.Contains(err.Error(), phrase) {
					t.Errorf("%q is not in: %v", phrase, err)
				}
			}
		})
	}
}

func TestAHistoryThatMakesNoSenseIsFound(t *testing.T) {
	started := []told{{}, {Step: "reserve"}}
	for name, c := range map[string]struct {
		kind  string
		event told
		says  string
	}{
		"settled without a beginning": {"saga.step_succeeded", told{Task: 2}, "task 2 of 1"},
		"taken over after its end":    {"saga.attempted", told{Tasks: []int{1}}, "was settled, and is begun again"},
		"settled twice":               {"saga.step_failed", told{Task: 1}, "a second time"},
		"of another kind":             {"saga.timer_set", told{}, "no such event"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history{}
			for i, kind := range []string{"saga.started", "saga.step_started"} {
				if err := h.take(kind, &started[i], "key"); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.take("saga.step_succeeded", &told{Task: 1}, ""); err != nil {
				t.Fatal(err)
			}
			if err := h.take(c.kind, &c.event, ""); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestWhatWasTakenBackIsRefusedWhenItComesLate(t *testing.T) {
	l, err := openLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.close() }()
	done, late := [16]byte{1}, [16]byte{2}
	for range 2 {
		if err := l.do(done, "7", "ship"); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.undo([16]byte{3}, done, "7", "ship"); err != nil {
		t.Fatal(err)
	}
	if err := l.undo([16]byte{4}, late, "7", "ship"); err != nil {
		t.Fatal(err)
	}
	if err := l.do(late, "7", "ship"); err == nil || !strings.Contains(err.Error(), "taken back") {
		t.Errorf("got %v", err)
	}
	rows, refused, calls, err := l.effects()
	if err != nil || len(rows) != 3 || refused != 1 || calls != 1 {
		t.Errorf("%d effects, %d refused in %d calls, %v", len(rows), refused, calls, err)
	}
}
