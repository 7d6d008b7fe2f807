package mongostore

import (
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"lexigram.dev/events/store"
)

// separator ends the bucket in a record's _id: a byte that no name holds, and lower than all that they may hold.
const separator = "\x01"

func recordKey(bucket, key string) string { return bucket + separator + key }

func splitKey(id string) (bucket, key string) {
	bucket, key, _ = strings.Cut(id, separator)
	return bucket, key
}

// keyRange chooses the records of a scan. Strings compare by their bytes, as keys must; but they are UTF-8, and bounds
// may not be, so those are replaced by the next string that is.
func keyRange(r store.Scan) bson.D {
	end := r.Bucket + "\x02" // after all keys of the bucket
	bound := func(key string) string {
		if up, ok := roundUp(key); ok {
			return recordKey(r.Bucket, up)
		}
		return end
	}
	to := end
	if r.To != "" {
		to = bound(r.To)
	}
	return bson.D{{Key: fieldID, Value: bson.D{{Key: "$gte", Value: bound(r.From)}, {Key: "$lt", Value: to}}}}
}

// roundUp gives the smallest valid UTF-8 string that is not less than s; ok is false where there is none.
func roundUp(s string) (up string, ok bool) {
	valid := 0
	for valid < len(s) {
		r, size := utf8.DecodeRuneInString(s[valid:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		valid += size
	}
	if valid == len(s) {
		return s, true
	}
	for rest := s[valid:]; ; {
		if r, found := firstAbove(rest); found {
			return s[:valid] + string(r), true
		}
		if valid == 0 {
			return "", false
		}
		_, size := utf8.DecodeLastRuneInString(s[:valid])
		valid -= size
		rest = s[valid : valid+size]
	}
}

// firstAbove gives the first character whose encoding is greater than b. Encodings are in the order of code points.
func firstAbove(b string) (rune, bool) {
	const surrogates, low = 0x800, 0xd800 // no characters
	at := func(i int) rune {
		if i >= low {
			return rune(i + surrogates)
		}
		return rune(i)
	}
	from, to := 0, int(utf8.MaxRune)+1-surrogates
	for from < to {
		if middle := (from + to) / 2; string(at(middle)) > b {
			to = middle
		} else {
			from = middle + 1
		}
	}
	return at(from), from < int(utf8.MaxRune)+1-surrogates
}
