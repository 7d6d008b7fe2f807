package pgstore

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// after is the smallest text greater than s that a name or key can be: control characters are in none.
func after(s string) string { return s + "\x01" }

// bound gives the text that lies at the same place between names and keys as the byte string s does. The server takes
// valid UTF-8 without NUL only, but a caller may give any bytes, such as a prefix whose last byte was raised by one.
// It gives false where s is greater than every text.
func bound(s string) (string, bool) {
	valid := 0
	for valid < len(s) {
		r, size := utf8.DecodeRuneInString(s[valid:])
		if r == 0 || r == utf8.RuneError && size <= 1 {
			break
		}
		valid += size
	}
	if valid == len(s) {
		return s, true
	}
	head, rest := s[:valid], s[valid:]
	// UTF-8 sorts as its runes do: find the first rune that is not less than the rest.
	if n := sort.Search(runes, func(i int) bool { return strings.Compare(string(nth(i)), rest) >= 0 }); n < runes {
		return head + string(nth(n)), true
	}
	for head != "" { // all that begins with head is less: go past it
		r, size := utf8.DecodeLastRuneInString(head)
		head = head[:len(head)-size]
		if r < utf8.MaxRune {
			return head + string(nth(index(r)+1)), true
		}
	}
	return "", false
}

// runes is the number of runes that a text may hold: all but NUL and the surrogates.
const (
	surrogates = 0xE000 - 0xD800
	runes      = utf8.MaxRune - surrogates
)

func nth(i int) rune {
	if r := rune(i + 1); r < 0xD800 {
		return r
	}
	return rune(i + 1 + surrogates)
}

func index(r rune) int {
	if r < 0xD800 {
		return int(r) - 1
	}
	return int(r) - 1 - surrogates
}
