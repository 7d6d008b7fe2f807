package aggregate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"lexigram.dev/events/event"
)

// A snapshot is one line of JSON, the header, and after the line feed the encoded state as the codec gave it.
type snapshotHeader struct {
	Schema      int           `json:"schema"` // Snapshots.Version
	Version     event.Version `json:"version"`
	RecordedAt  time.Time     `json:"recorded_at"` // of the event at Version
	TakenAt     time.Time     `json:"taken_at"`
	ContentType string        `json:"content_type"`
	Sum         uint32        `json:"crc32"` // IEEE, of the encoded state
}

func joinSnapshot(h snapshotHeader, data []byte) []byte {
	h.Sum = crc32.ChecksumIEEE(data)
	head, err := json.Marshal(h)
	if err != nil { // cannot happen: numbers, text and times of this era marshal
		return nil
	}
	return append(append(head, '\n'), data...)
}

func splitSnapshot(value []byte) (snapshotHeader, []byte, error) {
	head, data, found := bytes.Cut(value, []byte{'\n'})
	var h snapshotHeader
	if !found {
		return h, nil, errors.New("corrupt: it has no header line")
	}
	if err := json.Unmarshal(head, &h); err != nil {
		return h, nil, fmt.Errorf("corrupt header: %w", err)
	}
	if sum := crc32.ChecksumIEEE(data); sum != h.Sum {
		return h, nil, fmt.Errorf("corrupt state: its checksum is %08x, the header says %08x", sum, h.Sum)
	}
	return h, data, nil
}
