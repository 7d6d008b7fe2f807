package aggregate_test

import (
	"testing"

	"lexigram.dev/events/aggregate"
	"lexigram.dev/events/store"
)

func TestSnapshotsAreKeptInTheBucketThatIsNamed(t *testing.T) {
	b := newBank(t)
	s := styles(t, b, aggregate.Options{Snapshots: &aggregate.Snapshots{Every: 1, Bucket: "states"}})[0]
	must(t, s.deposit(t.Context(), "a", nothing))
	must(t, s.deposit(t.Context(), "a", nothing))
	found := 0
	for _, err := range b.store.Scan(t.Context(), store.Scan{Bucket: "states-account"}) {
		must(t, err)
		found++
	}
	if found == 0 {
		t.Error("there is no snapshot in states-account")
	}
}
