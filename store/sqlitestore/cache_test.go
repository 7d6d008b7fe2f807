package sqlitestore

import "testing"

func TestTheWritersCacheKeepsItsSize(t *testing.T) {
	b := openTest(t, t.TempDir()+"/events.db", Options{})
	for range reclaimsEvery + 2 {
		appendOne(t, b, "a-1")
	}
	w, err := b.writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.put(w)
	if w.sinceReclaim >= reclaimsEvery {
		t.Errorf("room was not made in the cache for %d commits", w.sinceReclaim)
	}
	if size, err := w.number(`pragma cache_size`); err != nil || size != -writerCache {
		t.Errorf("the size of the cache is %d, %v; want %d", size, err, -writerCache)
	}
}
