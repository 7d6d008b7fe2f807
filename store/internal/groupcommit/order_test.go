package groupcommit

import (
	"slices"
	"testing"
	"testing/synctest"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// inOrder submits the commits one after the other and gives the types of their first events as the batch has them.
func inOrder(t *testing.T, commits ...store.Commit) (types []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Independent: true, ByStream: true})
		var answers []<-chan error
		for _, c := range commits {
			answers = append(answers, submit(t.Context(), q, c))
		}
		b, ok := q.Next()
		if !ok {
			t.Fatal("no batch")
		}
		for _, r := range b.Requests {
			types = append(types, r.Commit.Appends[0].Events[0].Type)
			r.Resolve(store.Result{})
		}
		q.Finish(b)
		for _, answer := range answers {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
	})
	return types
}

func TestABatchIsInTheOrderOfItsStreams(t *testing.T) {
	got := inOrder(t,
		commitTo("c-1", store.Exactly(5), "c first"), commitTo("b-1", store.NoStream(), "b"),
		commitTo("c-1", store.Any(), "c second"), commitTo("a-1", store.Any(), "a"), commitTo("c-1", store.Any(), "c third"))
	if want := []string{"a", "b", "c first", "c second", "c third"}; !slices.Equal(got, want) {
		t.Errorf("the batch is %q, want %q", got, want)
	}
}

func TestABatchWithLargerRequestsIsInTheOrderInWhichTheyCame(t *testing.T) {
	several := commitTo("z-1", store.Any(), "z")
	several.Appends = append(several.Appends, store.Append{
		Stream: "b-1", Expected: store.NoStream(), Events: []event.Pending{{ID: event.NewID(), Type: "b"}},
	})
	// The one for b-1 follows from what the other one leaves there.
	if got := inOrder(t, several, commitTo("b-1", store.Any(), "b again")); !slices.Equal(got, []string{"z", "b again"}) {
		t.Errorf("with a request of several streams: %q", got)
	}
	conditional := commitTo("z-1", store.Any(), "z")
	conditional.Condition = &store.Condition{Query: store.Query{{Types: []string{"b"}}}}
	// It holds before the other one only.
	if got := inOrder(t, conditional, commitTo("b-1", store.Any(), "b")); !slices.Equal(got, []string{"z", "b"}) {
		t.Errorf("with a condition: %q", got)
	}
}
