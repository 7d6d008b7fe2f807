package pgstore

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"lexigram.dev/events/event"
)

func TestABoundStandsWhereItsBytesDo(t *testing.T) {
	keys := []string{
		"a", "a\u007e", "aé", "aÿ", "aĀ", "a\u07ff", "a\u0800", "a\ud7ff", "a\ue000", "a\uffff", "a\U00010000", "a\U0010ffff", "b",
		"é", "éa", "\U0010ffff", "\U0010ffffa", "~", "ab", "ab~",
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	alphabet := []byte{0, 1, 'a', 'b', '~', 0x7f, 0x80, 0xbf, 0xc2, 0xc3, 0xa9, 0xdf, 0xe0, 0xed, 0x9f, 0xa0, 0xef, 0xf0, 0x90, 0xf4, 0x8f, 0xf5, 0xff}
	for range 50_000 {
		raw := make([]byte, random.IntN(6))
		for i := range raw {
			raw[i] = alphabet[random.IntN(len(alphabet))]
		}
		s := string(raw)
		got, some := bound(s)
		if !utf8.ValidString(got) || slices.Contains([]byte(got), 0) {
			t.Fatalf("the bound of %q is %q, which the server does not take", s, got)
		}
		for _, key := range keys {
			if below := !some || key < got; below != (key < s) {
				t.Fatalf("the bound of %q is %q (%v): key %q is on the wrong side", s, got, some, key)
			}
		}
	}
}

func TestVersionsForgetWhatWasNotUsedForLong(t *testing.T) {
	v := newVersions(2)
	v.set("a-1", 1)
	v.set("b-1", 2)
	v.set("c-1", 3) // a and b are old now
	get := func(stream event.StreamID) event.Version { return v.find(stream).version }
	if get("a-1") != 1 || get("b-1") != 2 || get("c-1") != 3 {
		t.Error("forgot too early")
	}
	v.set("a-1", 4)
	v.set("d-1", 5) // b is gone
	if get("a-1") != 4 || get("b-1") != 0 || get("d-1") != 5 {
		t.Error("remembers wrongly")
	}
}

func TestEveryMigrationIsNumberedInTurn(t *testing.T) {
	all, err := migrations()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d migrations, %v", len(all), err)
	}
}
