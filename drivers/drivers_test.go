package drivers_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"lexigram.dev/events/drivers"
	"lexigram.dev/events/store"
)

func TestEachSchemeBelongsToOneDriverAndEachExampleShowsIt(t *testing.T) {
	owners := map[string]string{}
	for _, d := range drivers.All() {
		for _, scheme := range d.Schemes {
			if other, taken := owners[scheme]; taken {
				t.Errorf("scheme %s belongs to %s and %s", scheme, other, d.Name)
			}
			owners[scheme] = d.Name
		}
		scheme, _, _ := strings.Cut(d.Example, ":")
		if owners[scheme] != d.Name {
			t.Errorf("the example %q of %s is of another backend", d.Example, d.Name)
		}
	}
}

func TestAnUnknownBackendListsTheLinkedOnes(t *testing.T) {
	_, err := store.OpenURL(context.Background(), "oracle:x", drivers.All(), store.OpenOptions{})
	if err == nil {
		t.Fatal("an unknown backend was opened")
	}
	for _, d := range drivers.All() {
		if !strings.Contains(err.Error(), d.Example) {
			t.Errorf("%q does not name %s", err, d.Name)
		}
	}
}

func TestSQLiteHasABaselineAndMemoryHasNone(t *testing.T) {
	b, err := drivers.OpenBaseline(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "x.db")+"?synchronous=full")
	if err != nil || b == nil {
		t.Fatalf("got %v, %v", b, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if b, err := drivers.OpenBaseline(context.Background(), "memory:"); b != nil || err != nil {
		t.Errorf("memory: got %v, %v", b, err)
	}
}

func TestEachSchemeBelongsToOneBrokerAndEachExampleShowsIt(t *testing.T) {
	owners := map[string]string{}
	for _, d := range drivers.Brokers() {
		for _, scheme := range d.Schemes {
			if other, taken := owners[scheme]; taken {
				t.Errorf("scheme %s belongs to %s and %s", scheme, other, d.Name)
			}
			owners[scheme] = d.Name
		}
		scheme, _, _ := strings.Cut(d.Example, ":")
		if owners[scheme] != d.Name {
			t.Errorf("the example %q of %s is of another broker", d.Example, d.Name)
		}
	}
}
