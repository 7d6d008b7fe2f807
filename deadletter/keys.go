package deadletter

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
)

// The buckets. A letter of a sequence is a member of it; the record of the sequence is written with every change of any
// of its letters, which so happen one after the other.
const (
	lettersBucket   = "$deadletter"           // id: the letter
	partsBucket     = "$deadletter-parts"     // hash of id/hash of the letter/number: a part of a letter that is too large for one record
	requestsBucket  = "$deadletter-requests"  // source//name: the retry of this letter was asked for
	sequencesBucket = "$deadletter-sequences" // source//sequence: letters of it are there
	membersBucket   = "$deadletter-members"   // hash of source and sequence/name: id
)

// derivedMark begins the names that are derived because the real one cannot be part of a key.
const derivedMark = "~"

const (
	derivedBytes = len(derivedMark) + 32
	membersBytes = 32 + 1 // of membersPrefix
)

// nameOf is the part of a letter's id behind the source. It holds no slash.
func (l *Letters) nameOf(letter *Letter) (string, error) {
	switch {
	case (letter.Event == nil) == (letter.Message == nil):
		return "", invalid("a letter holds either an event or a message")
	case letter.Event != nil && letter.Event.Position < 1:
		return "", invalid("the event of a letter must have its position")
	case letter.Event != nil:
		return positionName(letter.Event.Position), nil
	}
	m := letter.Message
	if m.ID == "" {
		return derivedMark + hash(append([]string{m.Topic, m.Key, string(m.Body)}, headers(m)...)...), nil
	}
	usable := !strings.Contains(m.ID, "/") && !strings.HasPrefix(m.ID, derivedMark) && !isPosition(m.ID) &&
		event.ValidateName(m.ID) == nil && max(len(requestKey(letter.Source, "")), membersBytes)+len(m.ID) <= l.store.Limits().MaxKeyBytes
	if !usable {
		return derivedMark + hash(m.ID), nil
	}
	return m.ID, nil
}

// headers lists names and values, in the order of the names.
func headers(m *Message) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		list = append(list, name, m.Headers[name])
	}
	return list
}

func positionName(p event.Position) string { return fmt.Sprintf("%019d", int64(p)) }

// isPosition: a message must not take the id of an event's letter.
func isPosition(name string) bool {
	return len(name) == 19 && strings.Trim(name, "0123456789") == ""
}

// checkSource keeps sources such that a source, two slashes and more never reads as another source and more, and leaves
// room for a derived name.
func (l *Letters) checkSource(source string) error {
	if err := event.ValidateName(source); err != nil {
		return invalid("source %q of a letter: %w", source, err)
	}
	if strings.HasPrefix(source, "/") || strings.HasSuffix(source, "/") || strings.Contains(source, "//") {
		return invalid("source %q of a letter: must not begin or end with a slash, or hold two in a row", source)
	}
	if most := l.store.Limits().MaxKeyBytes - len(requestKey("", "")) - derivedBytes; len(source) > most {
		return fmt.Errorf("source %.64q… of a letter: %w: %d bytes, at most %d", source, store.ErrTooLarge, len(source), most)
	}
	return nil
}

// nameIn is the name in a letter's id.
func nameIn(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func requestKey(source, name string) string { return source + "//" + name }

func (l *Letters) sequenceKey(source, sequence string) string {
	key := source + "//" + sequence
	if len(key) > l.store.Limits().MaxKeyBytes || strings.HasPrefix(sequence, derivedMark) || event.ValidateName(sequence) != nil {
		return source + "//" + derivedMark + hash(sequence)
	}
	return key
}

func membersPrefix(source, sequence string) string { return hash(source, sequence) + "/" }

// hash is 128 bits of SHA-256 over the parts and their lengths.
func hash(parts ...string) string {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
