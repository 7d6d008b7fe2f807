package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lexigram.dev/events/store"
)

func recordClauses() []clause {
	return []clause{
		{rule: "keeps the value of a record byte by byte", prove: keepsValues},
		{rule: "changes a record only if it has the expected revision", prove: comparesAndSets},
		{rule: "lets exactly one of many racing writers set a record", prove: racesRecords},
		{rule: "counts right when many writers increment by compare and set", prove: countsRight},
		{rule: "never gives a revision out again", prove: neverReusesRevisions},
		{rule: "does all operations of a batch or none", prove: appliesAtomically},
		{rule: "does in a large batch what it does in small ones, in order also where a record is named twice", prove: appliesLargeBatches},
		{rule: "does not lock racing batches out of each other", prove: racesBatches},
		{rule: "takes an expired record for a missing one", prove: expires},
		{rule: "scans a bucket in byte order between bounds in both directions", prove: scans},
	}
}

func keepsValues(t *testing.T, s *subject) {
	if _, err := s.Get(s.ctx, "b", "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	for _, value := range [][]byte{nil, {}, {0, 1, 0xff}, []byte("text"), bytes.Repeat([]byte{7}, 1<<20)} {
		given := bytes.Clone(value)
		revisions, err := s.Apply(s.ctx, store.Put("b", "k", given))
		if err != nil {
			t.Fatal(err)
		}
		for i := range given {
			given[i]++ // the store must not have kept it
		}
		for range 2 {
			r, err := s.Get(s.ctx, "b", "k")
			if err != nil || !bytes.Equal(r.Value, value) || r.Revision != revisions[0] || r.Bucket != "b" || r.Key != "k" || !r.ExpiresAt.IsZero() {
				t.Errorf("a value of %d bytes came back as %d bytes, revision %d of %v (%v)", len(value), len(r.Value), r.Revision, revisions, err)
			}
			for i := range r.Value {
				r.Value[i]++ // nor must a reader's change come back
			}
		}
	}
	if _, err := s.Get(s.ctx, "b2", "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another bucket has the record: %v", err)
	}
}

func comparesAndSets(t *testing.T, s *subject) {
	wrong := func(what string, err error, expected, actual store.Revision) {
		t.Helper()
		var r *store.RevisionError
		if !errors.As(err, &r) || !errors.Is(err, store.ErrConflict) || r.Expected != expected || r.Actual != actual || r.Key != "k" {
			t.Errorf("%s: got %v, want a RevisionError of %d and %d", what, err, expected, actual)
		}
	}
	apply := func(op store.Op) (store.Revision, error) {
		revisions, err := s.Apply(s.ctx, op)
		if err != nil {
			return 0, err
		}
		return revisions[0], nil
	}
	put := store.Put("b", "k", []byte("v"))
	_, err := apply(put.When(store.IfRevision(7)))
	wrong("put of a missing record", err, 7, 0)
	_, err = apply(store.Delete("b", "k").When(store.IfRevision(7)))
	wrong("delete of a missing record", err, 7, 0)
	r1, err := apply(put.When(store.IfAbsent()))
	if err != nil || r1 <= 0 {
		t.Fatalf("create: revision %d, %v", r1, err)
	}
	_, err = apply(put.When(store.IfAbsent()))
	wrong("create again", err, 0, r1)
	r2, err := apply(put.When(store.IfRevision(r1)))
	if err != nil || r2 <= r1 {
		t.Fatalf("update: revision %d after %d, %v", r2, r1, err)
	}
	_, err = apply(put.When(store.IfRevision(r1)))
	wrong("stale update", err, r1, r2)
	if r, err := apply(store.Check("b", "k", store.IfRevision(r2))); err != nil || r != r2 {
		t.Errorf("check: %d, %v", r, err)
	}
	_, err = apply(store.Check("b", "k", store.IfAbsent()))
	wrong("check", err, 0, r2)
	_, err = apply(store.Delete("b", "k").When(store.IfRevision(r1)))
	wrong("stale delete", err, r1, r2)
	if r, err := apply(store.Delete("b", "k").When(store.IfRevision(r2))); err != nil || r != 0 {
		t.Errorf("delete: %d, %v", r, err)
	}
	if _, err := apply(store.Delete("b", "k")); err != nil {
		t.Errorf("delete of a missing record: %v", err)
	}
}

func racesRecords(t *testing.T, s *subject) {
	handles := []*store.Store{s.Store, s.another(t)}
	var current store.Revision
	for round := range raceRounds {
		results := make(chan error, racers)
		for w := range racers {
			go func() {
				_, err := handles[w%2].Apply(s.ctx, store.Put("race", "k", []byte{byte(w)}).When(store.IfRevision(current)))
				results <- err
			}()
		}
		winners := 0
		for range racers {
			if err := <-results; err == nil {
				winners++
			} else if !errors.Is(err, store.ErrConflict) {
				t.Errorf("round %d: a loser got %v", round, err)
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d writers won", round, winners)
		}
		if round%10 == 9 { // every tenth round begins with a missing record
			if _, err := s.Apply(s.ctx, store.Delete("race", "k")); err != nil {
				t.Fatal(err)
			}
			current = 0
			continue
		}
		r, err := s.Get(s.ctx, "race", "k")
		if err != nil {
			t.Fatal(err)
		}
		current = r.Revision
	}
}

func countsRight(t *testing.T, s *subject) {
	handles := []*store.Store{s.Store, s.another(t)}
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				r, err := handles[w%2].Get(s.ctx, "n", "counter")
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("get: %v", err)
					return
				}
				n, _ := strconv.Atoi(string(r.Value)) // missing: 0
				_, err = handles[w%2].Apply(s.ctx, store.Put("n", "counter", strconv.AppendInt(nil, int64(n+1), 10)).When(store.IfRevision(r.Revision)))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("set: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r, err := s.Get(s.ctx, "n", "counter"); err != nil || string(r.Value) != strconv.Itoa(writers*each) {
		t.Errorf("the counter is %s (%v), want %d", r.Value, err, writers*each)
	}
}

func neverReusesRevisions(t *testing.T, s *subject) {
	last := store.Revision(0)
	for i := range 20 {
		revisions, err := s.Apply(s.ctx, store.Put("b", "k", nil), store.Put("b", strconv.Itoa(i), nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range revisions {
			if r <= last {
				t.Errorf("revision %d came after %d", r, last)
			}
			last = r
		}
		if _, err := s.Apply(s.ctx, store.Delete("b", "k"), store.Delete("b", strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
}

func appliesAtomically(t *testing.T, s *subject) {
	if _, err := s.Apply(s.ctx, store.Put("b", "kept", []byte("old")), store.Put("b", "gone", []byte("old"))); err != nil {
		t.Fatal(err)
	}
	_, err := s.Apply(s.ctx,
		store.Put("b", "kept", []byte("new")), store.Put("b", "fresh", nil), store.Delete("b", "gone"),
		store.Put("c", "other bucket", nil), store.Check("b", "missing", store.IfRevision(1)))
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	got := map[string]string{}
	for _, bucket := range []string{"b", "c"} {
		for _, r := range all(t, s.Scan(s.ctx, store.Scan{Bucket: bucket})) {
			got[r.Key] = string(r.Value)
		}
	}
	if fmt.Sprint(got) != "map[gone:old kept:old]" {
		t.Errorf("a failed batch left %v", got)
	}
	revisions, err := s.Apply(s.ctx, // each sees what those before it did
		store.Put("b", "a", []byte("1")).When(store.IfAbsent()), store.Delete("b", "a"), store.Check("b", "a", store.IfAbsent()),
		store.Put("b", "a", []byte("2")).When(store.IfAbsent()))
	if err != nil || len(revisions) != 4 || revisions[0] == 0 || revisions[1] != 0 || revisions[2] != 0 || revisions[3] <= revisions[0] {
		t.Errorf("a batch over one record gave %v, %v", revisions, err)
	}
	if r, err := s.Get(s.ctx, "b", "a"); err != nil || string(r.Value) != "2" || r.Revision != revisions[3] {
		t.Errorf("the record is %+v (%v)", r, err)
	}
}

func racesBatches(t *testing.T, s *subject) {
	handles := []*store.Store{s.Store, s.another(t)}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 15 {
				ops := []store.Op{store.Put("b", "x", []byte{byte(w), byte(i)}), store.Put("b", "y", []byte{byte(w), byte(i)}), store.Delete("b", "z"), store.Put("b", "z", []byte{byte(w), byte(i)})}
				if w%2 == 1 {
					slices.Reverse(ops)
				}
				if _, err := handles[w/2%2].Apply(s.ctx, ops...); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	x, errX := s.Get(s.ctx, "b", "x")
	y, errY := s.Get(s.ctx, "b", "y")
	if errX != nil || errY != nil || !bytes.Equal(x.Value, y.Value) {
		t.Errorf("two records that are always written together hold %v and %v (%v, %v)", x.Value, y.Value, errX, errY)
	}
}

func expires(t *testing.T, s *subject) {
	revisions, err := s.Apply(s.ctx,
		store.Put("b", "long", nil).For(time.Hour), store.Put("b", "short", []byte("old")).For(30*time.Millisecond), store.Put("b", "never", nil))
	if err != nil {
		t.Fatal(err)
	}
	long, err := s.Get(s.ctx, "b", "long")
	if in := time.Until(long.ExpiresAt); err != nil || in < 50*time.Minute || in > 70*time.Minute {
		t.Errorf("a record with an hour to live expires in %v (%v)", in, err)
	}
	eventually(t, "expiry of a record", func() bool {
		_, err := s.Get(s.ctx, "b", "short")
		return errors.Is(err, store.ErrNotFound)
	})
	var keys []string
	for _, r := range all(t, s.Scan(s.ctx, store.Scan{Bucket: "b"})) {
		keys = append(keys, r.Key)
	}
	if fmt.Sprint(keys) != "[long never]" {
		t.Errorf("a scan gives %v, want long and never", keys)
	}
	if _, err := s.Apply(s.ctx, store.Put("b", "short", nil).When(store.IfRevision(revisions[1]))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an expired record was still at its revision: %v", err)
	}
	again, err := s.Apply(s.ctx, store.Put("b", "short", []byte("new")).When(store.IfAbsent()))
	if err != nil || again[0] <= revisions[1] {
		t.Errorf("an expired record does not count as absent: %v, %v", again, err)
	}
	if _, err := s.Apply(s.ctx, store.Put("b", "long", nil)); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Get(s.ctx, "b", "long"); err != nil || !r.ExpiresAt.IsZero() {
		t.Errorf("a put without time to live keeps the old expiry: %+v, %v", r, err)
	}
}

func scans(t *testing.T, s *subject) {
	var keys []string
	var ops []store.Op
	for i := range 2500 { // several pages of any driver
		keys = append(keys, fmt.Sprintf("k%05d", i))
	}
	keys = append(keys, "K", "a", "a%", "a_b", "ab", "z", "ä", "日本", "\U0010FFFF")
	for _, k := range keys {
		ops = append(ops, store.Put("b", k, []byte(k)))
	}
	if _, err := s.Apply(s.ctx, append(ops, store.Put("a", "x", nil), store.Put("c", "x", nil))...); err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	for i, scan := range []store.Scan{
		{},
		{From: "a"},
		{To: "b"},
		{From: "a%", To: "ab"},
		{From: "k00010", To: "k02400"},
		{From: "z", To: "a"},
		{Limit: 3},
		{From: "k", Limit: 1500},
		store.Prefix("b", "a"), store.Prefix("b", "a_"), store.Prefix("b", ""), store.Prefix("b", "\U0010FFFF"), store.Prefix("b", "k0001"),
	} {
		for _, backwards := range []bool{false, true} {
			scan.Bucket, scan.Backwards = "b", backwards
			want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k < scan.From || scan.To != "" && k >= scan.To })
			if backwards {
				want = reverse(want)
			}
			want = limited(want, scan.Limit)
			var got []string
			for _, r := range all(t, s.Scan(s.ctx, scan)) {
				if string(r.Value) != r.Key || r.Bucket != "b" {
					t.Errorf("scan %d: record %+v", i, r)
				}
				got = append(got, r.Key)
			}
			if !slices.Equal(got, want) {
				t.Errorf("scan %d, backwards %v: got %d keys, want %d", i, backwards, len(got), len(want))
			}
		}
	}
	for range 100 {
		for _, err := range s.Scan(s.ctx, store.Scan{Bucket: "b"}) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
}

// appliesLargeBatches compares a store with a map, through large batches of all kinds of operations.
func appliesLargeBatches(t *testing.T, s *subject) {
	const keys = 300
	key := func(i int) string { return fmt.Sprintf("k%03d", i%keys) }
	type known struct {
		value    string
		revision store.Revision
	}
	model := map[string]known{}
	apply := func(ops []store.Op) {
		t.Helper()
		revisions, err := s.Apply(s.ctx, ops...)
		if err != nil || len(revisions) != len(ops) {
			t.Fatalf("got %d revisions for %d operations: %v", len(revisions), len(ops), err)
		}
		for i, op := range ops {
			switch op.Kind {
			case store.OpPut:
				if revisions[i] <= 0 {
					t.Fatalf("operation %d: a put has revision %d", i, revisions[i])
				}
				model[op.Key] = known{string(op.Value), revisions[i]}
			case store.OpDelete:
				if revisions[i] != 0 {
					t.Fatalf("operation %d: a delete has revision %d", i, revisions[i])
				}
				delete(model, op.Key)
			default:
				if revisions[i] != model[op.Key].revision {
					t.Fatalf("operation %d: a check has revision %d, want %d", i, revisions[i], model[op.Key].revision)
				}
			}
		}
	}
	same := func() {
		t.Helper()
		found := map[string]known{}
		for r, err := range s.Scan(s.ctx, store.Scan{Bucket: "b"}) {
			if err != nil {
				t.Fatal(err)
			}
			found[r.Key] = known{string(r.Value), r.Revision}
		}
		if !maps.Equal(found, model) {
			t.Fatalf("the store holds %d records, want %d, or they differ", len(found), len(model))
		}
	}
	for round := range 6 {
		var ops []store.Op
		for i := range keys {
			k, now := key(i), model[key(i)].revision
			switch (i + round) % 5 {
			case 0:
				ops = append(ops, store.Delete("b", k).When(store.IfRevision(now)))
			case 1:
				ops = append(ops, store.Check("b", k, store.IfRevision(now)))
			case 2:
				ops = append(ops, store.Put("b", k, fmt.Appendf(nil, "%d/%d", round, i)).When(store.IfRevision(now)))
			default:
				ops = append(ops, store.Put("b", k, fmt.Appendf(nil, "%d/%d", round, i)))
			}
		}
		apply(ops)
		same()

		// One expectation among many that is wrong: nothing is done, and the error tells which.
		stale := slices.Clone(ops)
		for i := range stale {
			stale[i] = store.Put("b", key(i), []byte("never"))
		}
		wrong := model[key(round*7)].revision + 1
		stale[round*7] = stale[round*7].When(store.IfRevision(wrong))
		var conflict *store.RevisionError
		if _, err := s.Apply(s.ctx, stale...); !errors.As(err, &conflict) || conflict.Key != key(round*7) || conflict.Expected != wrong || conflict.Actual != wrong-1 {
			t.Fatalf("got %v, want a conflict at %s", err, key(round*7))
		}
		same()

		// The same record several times: in order.
		ops = ops[:0]
		for i := range 40 {
			ops = append(ops, store.Put("b", key(i%10), fmt.Appendf(nil, "again %d", i)))
		}
		apply(append(ops, store.Delete("b", key(3))))
		same()
	}

	// Those that expire.
	brief := make([]store.Op, keys)
	for i := range brief {
		brief[i] = store.Put("b", key(i), []byte("brief")).For(time.Millisecond)
	}
	if _, err := s.Apply(s.ctx, brief...); err != nil {
		t.Fatal(err)
	}
	clear(model)
	eventually(t, "all have expired", func() bool {
		_, err := s.Get(s.ctx, "b", key(keys-1))
		return errors.Is(err, store.ErrNotFound)
	})
	same()
	again := make([]store.Op, keys)
	for i := range again {
		again[i] = store.Put("b", key(i), []byte("again")).When(store.IfAbsent())
	}
	apply(again)
	same()
}
