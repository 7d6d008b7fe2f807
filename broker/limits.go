package broker

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Limits bound what is accepted. They are checked before anything is sent; a zero field means its default. The names
// that pass are legal on every broker that has a driver.
type Limits struct {
	MaxMessageBytes int // body, key and headers of one message; default 2 MiB, or the broker's own limit where it is lower
	MaxMessages     int // messages in one Publish; default 10,000
	MaxNameBytes    int // length of a topic or group name; default 200
	MaxKeyBytes     int // length of a message's id or key; default 512
	MaxHeaders      int // headers of one message; default 64
}

func (l Limits) withDefaults(f Features) Limits {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&l.MaxMessageBytes, 2<<20)
	set(&l.MaxMessages, 10_000)
	set(&l.MaxNameBytes, 200)
	set(&l.MaxKeyBytes, 512)
	set(&l.MaxHeaders, 64)
	if f.MaxMessageBytes > 0 {
		l.MaxMessageBytes = min(l.MaxMessageBytes, f.MaxMessageBytes)
	}
	return l
}

func (l Limits) checkMessage(m *Message) error {
	if m.ID == "" {
		return invalid("message to topic %q: the id must not be empty", abbreviate(m.Topic))
	}
	for _, part := range [...]struct{ what, text string }{{"id", m.ID}, {"key", m.Key}} {
		if len(part.text) > l.MaxKeyBytes {
			return tooLarge(fmt.Sprintf("length of the %s %q in bytes", part.what, abbreviate(part.text)), len(part.text), l.MaxKeyBytes)
		}
		if err := checkText(part.text); err != nil {
			return invalid("message %q: %s: %w", abbreviate(m.ID), part.what, err)
		}
	}
	if err := l.checkTopic(m.Topic); err != nil {
		return fmt.Errorf("message %q: %w", abbreviate(m.ID), err)
	}
	if len(m.Headers) > l.MaxHeaders {
		return tooLarge(fmt.Sprintf("message %q: number of headers", abbreviate(m.ID)), len(m.Headers), l.MaxHeaders)
	}
	size := len(m.Body) + len(m.Key)
	for name, value := range m.Headers {
		if !isHeaderName(name) {
			return invalid("message %q: header %q: names are of lower-case letters, digits, -, _ and .", abbreviate(m.ID), abbreviate(name))
		}
		if err := checkText(value); err != nil {
			return invalid("message %q: header %s: value: %w", abbreviate(m.ID), abbreviate(name), err)
		}
		size += len(name) + len(value)
	}
	if size > l.MaxMessageBytes {
		return tooLarge(fmt.Sprintf("message %q: size of body, key and headers in bytes", abbreviate(m.ID)), size, l.MaxMessageBytes)
	}
	return nil
}

func (l Limits) checkTopic(topic string) error { return l.checkName("topic", topic) }

func (l Limits) checkGroup(g Group) error {
	if err := l.checkName("group", g.Name); err != nil {
		return err
	}
	if len(g.Topics) == 0 {
		return invalid("group %q: has no topics", g.Name)
	}
	for i, topic := range g.Topics {
		if err := l.checkTopic(topic); err != nil {
			return fmt.Errorf("group %q: %w", g.Name, err)
		}
		if slices.Contains(g.Topics[:i], topic) {
			return invalid("group %q: topic %q is named twice", g.Name, topic)
		}
	}
	return nil
}

// checkName accepts parts of letters, digits, - and _, divided by dots.
func (l Limits) checkName(what, name string) error {
	if len(name) > l.MaxNameBytes {
		return tooLarge(fmt.Sprintf("length of %s %q in bytes", what, abbreviate(name)), len(name), l.MaxNameBytes)
	}
	previous := byte('.')
	for i := range len(name) {
		c := name[i]
		if c == '.' && previous == '.' || c != '.' && !isNameByte(c) {
			return badName(what, name)
		}
		previous = c
	}
	if previous == '.' {
		return badName(what, name)
	}
	return nil
}

func badName(what, name string) error {
	return invalid("%s %q: must be of letters, digits, - and _, in parts divided by dots", what, name)
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func isHeaderName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c != '.' && (!isNameByte(c) || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return name != ""
}

// checkText accepts what every broker carries as it is: UTF-8 without control characters.
func checkText(s string) error {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return fmt.Errorf("byte %d is not valid UTF-8", i)
			}
		}
		if r < 0x20 || r >= 0x7f && unicode.IsControl(r) {
			return fmt.Errorf("holds the control character %U at byte %d", r, i)
		}
	}
	return nil
}
