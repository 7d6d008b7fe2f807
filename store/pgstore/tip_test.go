package pgstore

import (
	"testing"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/internal/groupcommit"
)

// sending is a batch with one event for each stream, as prepare would send it by COPY.
func sending(t *testing.T, v *versions, streams ...event.StreamID) *batch {
	t.Helper()
	b := &batch{Batch: &groupcommit.Batch{Events: len(streams)}, how: byCopy}
	commits := make([]store.Commit, len(streams))
	for i, s := range streams {
		commits[i].Appends = []store.Append{{Stream: s, Expected: store.Any(), Events: []event.Pending{{ID: event.NewID(), Type: "x"}}}}
	}
	b.plan = planOf(commits)
	v.begin(b)
	if !v.guess(b) {
		t.Fatal("no guess for an append that expects any version")
	}
	return b
}

func wantDoubtful(t *testing.T, b *batch, want int, tip event.Position) {
	t.Helper()
	if b.doubtful != want || b.tip.position != tip {
		t.Errorf("%d of %d streams are doubtful after position %d; want %d after %d", b.doubtful, len(b.checked), b.tip.position, want, tip)
	}
}

func TestWhatWasStoredHereIsCertain(t *testing.T) {
	v := newVersions(100)
	first := sending(t, v, "a-1", "b-1")
	wantDoubtful(t, first, 2, 0)
	v.stored(first, 0, nil)
	second := sending(t, v, "a-1", "c-1", "a-1")
	wantDoubtful(t, second, 1, 2) // of two streams: the later part of a-1 follows from its first
	if second.tip.id != first.members[1].last {
		t.Error("the end of the log is not the last event that was stored")
	}
	third := sending(t, v, "a-1", "b-1")
	wantDoubtful(t, third, 1, 5) // a-1 is on its way
	v.stored(second, 2, nil)
	v.stored(third, 5, nil)
	wantDoubtful(t, sending(t, v, "a-1", "b-1", "c-1"), 0, 7)
}

func TestForeignAppendsMakeAllDoubtful(t *testing.T) {
	v := newVersions(100)
	v.stored(sending(t, v, "a-1", "b-1"), 0, nil)
	v.stored(sending(t, v, "a-1"), 3, nil) // not after 2: somebody has appended one event
	wantDoubtful(t, sending(t, v, "a-1", "b-1"), 1, 4)
}

func TestForeignAppendsInPlaceOfAFailedBatchMakeAllDoubtful(t *testing.T) {
	v := newVersions(100)
	v.stored(sending(t, v, "a-1", "b-1"), 0, nil)
	failed := sending(t, v, "c-1")
	next := sending(t, v, "d-1")
	v.end(failed)                  // and a foreign event takes position 3, say for b-1
	after := sending(t, v, "b-1")  // next ends at 4, and not where it would after the batches that were stored
	wantDoubtful(t, after, 0, 2+1) // so the server finds another end, and checks all
	v.stored(next, 3, nil)         // now it shows
	wantDoubtful(t, sending(t, v, "a-1", "b-1"), 2, 4+1)
}

func TestNothingIsCertainOfStreamsWhoseVersionsTheServerFinds(t *testing.T) {
	v := newVersions(100)
	v.stored(sending(t, v, "a-1", "b-1"), 0, nil)
	found := sending(t, v, "a-1", "b-1")
	v.touch(found)
	wantDoubtful(t, sending(t, v, "a-1"), 1, 4)
	v.stored(found, 2, []int{1}) // b-1 was refused
	wantDoubtful(t, sending(t, v, "a-1", "b-1"), 2, 3+1)
}

func TestNothingIsCertainAfterANewConnection(t *testing.T) {
	v := newVersions(100)
	v.stored(sending(t, v, "a-1"), 0, nil)
	v.forget()
	wantDoubtful(t, sending(t, v, "a-1"), 1, 0)
}

func TestADeletedStreamIsNeverCertain(t *testing.T) {
	v := newVersions(100)
	ended := sending(t, v, "a-1")
	ended.parts[0].ends = true
	v.stored(ended, 0, nil)
	wantDoubtful(t, sending(t, v, "a-1"), 1, 1)
}
