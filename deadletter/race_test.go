package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"lexigram.dev/events/deadletter"
	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/everystore"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
)

func refused(t *testing.T, what string, err error) {
	t.Helper()
	var r *store.RevisionError
	if !errors.As(err, &r) {
		t.Fatalf("%s: %v, want a RevisionError", what, err)
	}
}

func TestALetterThatComesToWaitWhileTheLastOneIsResolvedIsRequested(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		d, other := newDesk(t, open(), store.Limits{}), newDesk(t, open(), store.Limits{})
		ctx := t.Context()

		// The waiting one has seen the parked one, which is then resolved.
		d.park(eventLetter(5, "order-1", ""))
		late := eventLetter(9, "order-1", deadletter.StateWaiting)
		stale, err := d.Park(ctx, late)
		must(t, err)
		other.apply(other.Resolved(ctx, other.get(idOf(5))))
		_, err = d.store.Apply(ctx, stale...)
		refused(t, "park behind one that is resolved", err)
		d.park(late)
		if got := other.requested(source); len(got) != 1 || got[0].ID != idOf(9) || !d.blocked("order-1") {
			t.Fatalf("requested: %+v", got)
		}

		// The other way round: who resolves has not seen the waiting one.
		stale, err = other.Resolved(ctx, other.get(idOf(9)))
		must(t, err)
		d.park(eventLetter(10, "order-1", deadletter.StateWaiting))
		_, err = other.store.Apply(ctx, stale...)
		refused(t, "resolve what another has begun to wait behind", err)
		other.apply(other.Resolved(ctx, other.get(idOf(9))))
		if got := other.requested(source); len(got) != 1 || got[0].ID != idOf(10) {
			t.Fatalf("requested: %+v", got)
		}
		other.apply(other.Resolved(ctx, other.get(idOf(10))))
		if d.blocked("order-1") {
			t.Error("still blocked")
		}
	})
}

func TestWhatIsEditedDuringARetryIsRetriedAgain(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		for position, sequence := range map[event.Position]string{5: "order-1", 6: ""} {
			d := newDesk(t, open(), store.Limits{})
			ctx := t.Context()
			d.park(eventLetter(position, sequence, ""))
			must(t, d.Retry(ctx, idOf(position)))
			inHand := d.get(idOf(position))
			ops, err := d.Resolved(ctx, inHand)
			must(t, err)
			must(t, d.Edit(ctx, idOf(position), []byte("better")))
			_, err = d.store.Apply(ctx, ops...)
			refused(t, "resolve what was edited since", err)
			_, err = d.Resolved(ctx, inHand)
			refused(t, "resolve what was edited", err)
			_, err = d.Failed(ctx, inHand, errors.New("x"))
			refused(t, "put back what was edited", err)
			if got := d.get(idOf(position)); got.State != deadletter.StateRequested || string(got.Event.Data) != "better" {
				t.Errorf("got %+v", got)
			}

			inHand = d.get(idOf(position))
			must(t, d.Discard(ctx, idOf(position)))
			for what, give := range map[string]func() ([]store.Op, error){
				"resolved": func() ([]store.Op, error) { return d.Resolved(ctx, inHand) },
				"failed":   func() ([]store.Op, error) { return d.Failed(ctx, inHand, errors.New("x")) },
			} {
				if ops, err := give(); len(ops) != 0 || err != nil {
					t.Errorf("%s after it was discarded: %v, %v", what, ops, err)
				}
			}
		}
	})
}

// TestNothingIsLostOrStuck lets letters come, succeed, fail, be retried and discarded all at once.
func TestNothingIsLostOrStuck(t *testing.T) {
	everystore.Each(t, func(t *testing.T, open everystore.Opener) {
		const sequences, each = 3, 12
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var mu sync.Mutex
		handled := map[string][]event.Position{}
		letters := func() (*deadletter.Letters, *store.Store) {
			s := store.New(open(), store.Options{})
			return deadletter.New(s, deadletter.Options{}), s
		}
		insist := func(s *store.Store, give func() ([]store.Op, error)) bool {
			for {
				ops, err := give()
				if err == nil {
					_, err = s.Apply(ctx, ops...)
				}
				if err == nil {
					return true
				}
				if !errors.Is(err, store.ErrConflict) {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return false
				}
			}
		}
		var sources, others sync.WaitGroup
		for q := range sequences {
			l, s := letters()
			sources.Go(func() { // events come; the first fails, and so does each that finds nobody to wait behind
				sequence := fmt.Sprintf("order-%d", q)
				for n := range each {
					position := event.Position(n*sequences + q + 1)
					insist(s, func() ([]store.Op, error) {
						state := deadletter.StateParked
						if blocked, err := l.Blocked(ctx, source, sequence); err != nil || blocked {
							state = deadletter.StateWaiting
						}
						return l.Park(ctx, eventLetter(position, sequence, state))
					})
				}
			})
		}
		l, s := letters()
		total := 0
		done := make(chan struct{})
		others.Go(func() { // the source's retries; every third fails
			defer close(done)
			for n := 0; total < sequences*each && ctx.Err() == nil; {
				for letter, err := range l.Requested(ctx, source) {
					if err != nil {
						t.Error(err)
						return
					}
					if n++; n%3 == 0 {
						ops, err := l.Failed(ctx, letter, errors.New("again"))
						if err == nil {
							_, err = s.Apply(ctx, ops...)
						}
						if err != nil && !errors.Is(err, store.ErrConflict) {
							t.Error(err)
						}
						continue
					}
					ops, err := l.Resolved(ctx, letter)
					if err == nil {
						_, err = s.Apply(ctx, ops...)
					}
					switch {
					case err == nil:
						mu.Lock()
						handled[letter.Sequence] = append(handled[letter.Sequence], letter.Event.Position)
						mu.Unlock()
						total++
					case !errors.Is(err, store.ErrConflict):
						t.Error(err)
						return
					}
				}
			}
		})
		operator, _ := letters()
		others.Go(func() { // the operator retries all that is parked
			for {
				select {
				case <-done:
					return
				default:
				}
				for letter, err := range operator.List(ctx, deadletter.Filter{State: deadletter.StateParked}) {
					if err != nil {
						t.Error(err)
						return
					}
					err := operator.Retry(ctx, letter.ID)
					if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, deadletter.ErrBehind) {
						t.Error(err)
						return
					}
				}
			}
		})
		sources.Wait()
		others.Wait()
		for _, sequence := range slices.Sorted(maps.Keys(handled)) {
			if got := handled[sequence]; len(got) != each || !slices.IsSorted(got) {
				t.Errorf("%s: handled %v, want %d in order", sequence, got, each)
			}
		}
		if n, err := l.Count(ctx, deadletter.Filter{}); n != 0 || err != nil {
			t.Errorf("%d letters are left (%v)", n, err)
		}
	})
}

// broken does the operations of a batch one by one, and dies after some of them, as a backend without transactions would.
type broken struct {
	store.Backend
	after int // operations; negative: never
}

var errDied = errors.New("died")

func (b *broken) Apply(ctx context.Context, ops []store.Op) ([]store.Revision, error) {
	var revisions []store.Revision
	for _, op := range ops {
		if b.after == 0 {
			return nil, errDied
		}
		b.after--
		r, err := b.Backend.Apply(ctx, []store.Op{op})
		if err != nil {
			return nil, err
		}
		revisions = append(revisions, r...)
	}
	return revisions, nil
}

// TestACrashBetweenOperationsLosesNothing dies after each operation of each change, then goes on as a source and an
// operator would. Each letter must be handled, and nothing stay blocked.
func TestACrashBetweenOperationsLosesNothing(t *testing.T) {
	changes := map[string]func(ctx context.Context, d desk) ([]store.Op, error){
		"park a waiting one": func(ctx context.Context, d desk) ([]store.Op, error) {
			return d.Park(ctx, eventLetter(9, "order-1", deadletter.StateWaiting))
		},
		"put back": func(ctx context.Context, d desk) ([]store.Op, error) {
			return d.Failed(ctx, d.get(idOf(5)), errors.New("x"))
		},
		"resolve": func(ctx context.Context, d desk) ([]store.Op, error) { return d.Resolved(ctx, d.get(idOf(5))) },
	}
	for name, change := range changes {
		for after := 0; ; after++ {
			b := &broken{Backend: memstore.New(memstore.Options{}), after: -1}
			d := newDesk(t, b, store.Limits{MaxRecordBytes: 500})
			ctx := t.Context()
			d.park(eventLetter(5, "order-1", ""), eventLetter(7, "order-1", deadletter.StateWaiting))
			must(t, d.Retry(ctx, idOf(5)))
			ops, err := change(ctx, d)
			must(t, err)
			b.after = after
			_, err = d.store.Apply(ctx, ops...)
			finished := err == nil
			b.after = -1

			handled := map[string]bool{}
			if name == "park a waiting one" { // the source has not moved its checkpoint
				d.park(eventLetter(9, "order-1", deadletter.StateWaiting))
			}
			for range 5 {
				for _, id := range d.ids(deadletter.Filter{State: deadletter.StateParked}) {
					if err := d.Retry(ctx, id); err != nil && !errors.Is(err, deadletter.ErrBehind) {
						t.Fatal(err)
					}
				}
				for letter, err := range d.Requested(ctx, source) {
					must(t, err)
					handled[letter.ID] = true
					d.apply(d.Resolved(ctx, letter))
				}
			}
			want := []string{idOf(7)}
			if name == "park a waiting one" {
				want = append(want, idOf(9))
			}
			for _, id := range want {
				if !handled[id] {
					t.Errorf("%s, died after %d operations: %s was not handled", name, after, id)
				}
			}
			if left := d.ids(deadletter.Filter{}); len(left) > 0 {
				t.Errorf("%s, died after %d operations: %q are stuck", name, after, left)
			}
			if finished {
				break
			}
		}
	}
}
