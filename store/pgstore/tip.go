package pgstore

import (
	"slices"

	"lexigram.dev/events/event"
)

// When the log ends with an event of ours, and where we expect it to end, then nobody else has appended since our last
// answer: positions have no gaps, and ids are unique. Then the versions that we have stored are the streams' versions
// still, and the server need not look them up: most of a check's time. A truncation changes nothing, since the last
// event of a stream stays. The server compares, under the lock; when it finds another end it checks all streams.
//
// What makes a version certain: a batch of ours was answered that left the stream there; since then no answer has shown
// that others had appended (else era has advanced); and no batch is on its way with events for the stream (else by is
// that batch). What makes the end certain: it is that of the last answered batch, or of the one batch that was sent
// after it. With two batches after it, the first could have failed and an equal number of foreign events have taken its
// place, so then nothing is certain.

// tip is an event that is the last of the log, perhaps.
type tip struct {
	position event.Position // zero: none is known
	id       event.ID
}

// sent is a batch on its way.
type sent struct {
	serial uint64
	events int
	last   event.ID
}

// begin gives the batch its number and notes that it is about to be sent. It comes before guess: were a version
// to become certain in between, it would be so at another end of the log.
func (v *versions) begin(b *batch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.last.position == 0 || len(v.sent) > 1:
	case len(v.sent) == 1:
		b.tip = tip{position: v.last.position + event.Position(v.sent[0].events), id: v.sent[0].last}
	default:
		b.tip = v.last
	}
	v.serial++
	b.serial = v.serial
	v.sent = append(v.sent, sent{serial: b.serial, events: b.Events, last: b.members[len(b.members)-1].last})
}

// end notes that the batch has its answer, whatever it is.
func (v *versions) end(b *batch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(b.serial)
}

// drop is called with mu held.
func (v *versions) drop(serial uint64) {
	v.sent = slices.DeleteFunc(v.sent, func(s sent) bool { return s.serial == serial })
}

// forget is for a new connection, which may lead to another server: one that lacks what the old one had stored.
func (v *versions) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.era++
	v.last = tip{}
}
