// Package stream is a live feed of the log for people and browsers: a subscriber catches up from a position of its own and
// then follows, over Server-Sent Events (Feed.Handler), over WebSocket (package stream/websocket) or in Go (Feed.Subscribe).
//
// Nothing is kept for a subscriber but a bounded buffer: its place in the log is its own to remember, and it resumes from
// there. It gets each event behind that place once and in the order of the log, and none is left out. One reader of the log
// serves all who follow; whoever cannot keep up reads the log for itself until it can, and is disconnected with ErrSlow when
// it takes nothing for too long. Nobody waits for anybody else.
//
// What must not lose its place when a process ends (read models, processes, messages) is package subscription's business.
// This package knows the store. It knows no Go types of events and no brokers.
package stream
