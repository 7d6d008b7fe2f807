package deadletter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"lexigram.dev/events/store"
)

// maxErrorBytes bounds the error that a letter keeps. What is longer is cut, and ends with "…".
const maxErrorBytes = 8 << 10

// storedLetter is the form in which a letter is kept. Text that JSON would change takes the place of its like in Letter.
type storedLetter struct {
	Letter
	Sequence text           `json:"sequence,omitempty"`
	Message  *storedMessage `json:"message,omitempty"`
}

type storedMessage struct {
	ID      text      `json:"id"`
	Topic   text      `json:"topic"`
	Key     text      `json:"key,omitempty"`
	Headers [][2]text `json:"headers,omitempty"`
	Body    []byte    `json:"body"`
}

// text keeps strings that are not UTF-8 too; JSON by itself would replace their bytes.
type text string

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(rawText{[]byte(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte("{")) {
		var raw rawText
		err := json.Unmarshal(data, &raw)
		*t = text(raw.Base64)
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

type rawText struct {
	Base64 []byte `json:"base64"`
}

func encode(letter *Letter) ([]byte, error) {
	s := storedLetter{Letter: *letter, Sequence: text(letter.Sequence)}
	if m := letter.Message; m != nil {
		s.Message = &storedMessage{ID: text(m.ID), Topic: text(m.Topic), Key: text(m.Key), Body: m.Body}
		for list := headers(m); len(list) > 0; list = list[2:] {
			s.Message.Headers = append(s.Message.Headers, [2]text{text(list[0]), text(list[1])})
		}
	}
	value, err := json.Marshal(s)
	if err != nil {
		return nil, invalid("encode letter %s: %w", letter.ID, err)
	}
	return value, nil
}

func decode(id string, value []byte) (Letter, error) {
	var s storedLetter
	err := json.Unmarshal(value, &s)
	if err == nil && (s.Event == nil) == (s.Message == nil) {
		err = errors.New("it holds neither an event nor a message")
	}
	if err != nil {
		return Letter{}, fmt.Errorf("%w: decode letter %s: %w", store.ErrCorrupt, id, err)
	}
	letter := s.Letter
	letter.ID, letter.Sequence = id, string(s.Sequence)
	if m := s.Message; m != nil {
		letter.Message = &Message{ID: string(m.ID), Topic: string(m.Topic), Key: string(m.Key), Body: m.Body}
		if len(m.Headers) > 0 {
			letter.Message.Headers = make(map[string]string, len(m.Headers))
		}
		for _, h := range m.Headers {
			letter.Message.Headers[string(h[0])] = string(h[1])
		}
	}
	return letter, nil
}

// clip makes an error's text fit to be kept.
func clip(s string) string {
	if len(s) > maxErrorBytes {
		return strings.ToValidUTF8(s[:maxErrorBytes], "") + "…"
	}
	return s
}
