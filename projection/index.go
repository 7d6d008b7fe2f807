package projection

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An index entry is a record without a value whose key is the name of the index, the indexed value and the document's key:
//
//	name SPACE value SPACE key
//
// The value is written so that it holds no lone space, that the order of the entries is the order of the values by their
// bytes, and that the beginning of a value is the beginning of what is written. Keys of records hold no control characters,
// so those are escaped, too. A document's key stands last and as it is.

// entryKey is the key of an index entry.
func entryKey(index, value, key string) (string, error) {
	var b strings.Builder
	b.Grow(len(index) + len(value) + len(key) + 2)
	b.WriteString(index)
	b.WriteByte(' ')
	if err := escape(&b, value); err != nil {
		return "", fmt.Errorf("index %s of document %s: %w", index, key, err)
	}
	b.WriteByte(' ')
	b.WriteString(key)
	return b.String(), nil
}

// entryPrefix is how the entries of a value begin (whole), or those of all values that begin with it.
func entryPrefix(index, value string, whole bool) (string, error) {
	var b strings.Builder
	b.WriteString(index)
	b.WriteByte(' ')
	if err := escape(&b, value); err != nil {
		return "", fmt.Errorf("index %s: %w", index, err)
	}
	if whole {
		b.WriteByte(' ')
	}
	return b.String(), nil
}

const hex = "0123456789abcdef"

// escape writes a value. "!" and "~" begin what is escaped; what follows keeps the order:
//
//	control < space < "!" < … < "~" < DEL and the controls behind it < all others
func escape(b *strings.Builder, value string) error {
	if !utf8.ValidString(value) {
		return fmt.Errorf("value %q is not valid UTF-8", value)
	}
	for _, r := range value {
		switch {
		case r < ' ':
			b.WriteString("! ")
			b.WriteByte(hex[r>>4])
			b.WriteByte(hex[r&15])
		case r == ' ':
			b.WriteString("!!")
		case r == '!':
			b.WriteString(`!"`)
		case r == '~':
			b.WriteString("~!")
		case r > '~' && unicode.IsControl(r):
			b.WriteString(`~"`)
			b.WriteByte(hex[r>>4&15])
			b.WriteByte(hex[r&15])
		default:
			b.WriteRune(r)
		}
	}
	return nil
}

// splitEntry gives the value, as it is written, and the document's key of an entry of this index.
func splitEntry(index, entry string) (value, key string, ok bool) {
	rest, ok := strings.CutPrefix(entry, index+" ")
	if !ok {
		return "", "", false
	}
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '!', '~':
			i++ // what is escaped may be a space
		case ' ':
			return rest[:i], rest[i+1:], true
		}
	}
	return "", "", false
}
