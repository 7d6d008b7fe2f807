package store

import (
	"context"
	"iter"
	"time"

	"lexigram.dev/events/event"
)

// Backend is what a driver implements. Its callers have validated their input (see [Store]); it returns the errors of
// this package, wrapping its own, and is safe for concurrent use.
type Backend interface {
	Log
	KV

	// Describe tells what the backend is and where it stands. It asks the server, so it serves as a health check.
	Describe(ctx context.Context) (Description, error)

	// Close releases everything and waits for what runs. Calling it again does nothing. After it every call gives
	// ErrClosed.
	Close() error
}

// Log is an append-only sequence of events, each in one stream.
type Log interface {
	// Append stores the commit whole or not at all, and returns once it is durable. See the clauses of storetest.
	Append(ctx context.Context, c Commit) (Result, error)

	// ReadStream yields the events of one stream. A missing stream yields nothing.
	ReadStream(ctx context.Context, r StreamRead) iter.Seq2[event.Recorded, error]

	// ReadLog yields events of all streams in the order of their positions. It ends at the head that it saw first.
	ReadLog(ctx context.Context, r LogRead) iter.Seq2[event.Recorded, error]

	// Head gives the position of the newest event; 0 in an empty log.
	Head(ctx context.Context) (event.Position, error)

	// StreamInfo gives ErrNotFound for a stream that never was.
	StreamInfo(ctx context.Context, stream event.StreamID) (StreamInfo, error)

	// Streams yields the streams in byte order of their names.
	Streams(ctx context.Context, r StreamsRead) iter.Seq2[StreamInfo, error]
}

// Commit is one atomic append: to one or more different streams, under at most one condition.
type Commit struct {
	Appends   []Append
	Condition *Condition // nil: none

	clock time.Time
}

// Clock gives the time that the Store has just read from the system clock, so that a backend whose own clock is that one
// need not read it again. It is zero where nobody has, or where the Store keeps another clock.
func (c *Commit) Clock() time.Time { return c.clock }

// Append is the part of a commit that goes to one stream. Positions follow the order of the appends in the commit and
// of the events in an append.
type Append struct {
	Stream   event.StreamID
	Expected Expected
	Events   []event.Pending
}

// Result says where a commit landed.
type Result struct {
	First, Last event.Position // of the commit's events: Last - First + 1 of them, with nothing in between

	// Versions is the version of each stream after its append, in the order of Commit.Appends. For a duplicate it is
	// the version right after the first, successful append.
	Versions []event.Version

	// Duplicate is set where this very commit had been stored before, and nothing was stored now.
	Duplicate bool
}

// Version is the version of the first (mostly the only) stream of the commit.
func (r Result) Version() event.Version {
	if len(r.Versions) == 0 {
		return 0
	}
	return r.Versions[0]
}

// StreamRead says what to read of one stream.
type StreamRead struct {
	Stream    event.StreamID
	From      event.Version // the first to yield, inclusive; 0: the start or, backwards, the end
	Limit     int           // at most so many events; 0: no limit
	Backwards bool
}

// LogRead says what to read of the log.
type LogRead struct {
	From      event.Position // the first to yield, inclusive; 0: the start or, backwards, the head
	To        event.Position // the last to yield, inclusive; 0: the head (backwards: the start) as it is when reading begins
	Limit     int            // at most so many events; 0: no limit
	Backwards bool
	Filter    Filter
}

// StreamsRead says which streams to list.
type StreamsRead struct {
	Category string         // only of this category; "": all
	After    event.StreamID // only names greater than this; "": from the first
	Limit    int            // at most so many; 0: no limit
}

// StreamInfo describes a stream.
type StreamInfo struct {
	Stream    event.StreamID `json:"stream"`
	Version   event.Version  `json:"version"` // of the last event
	First     event.Version  `json:"first"`   // of the oldest event still there; greater than 1 after a truncation
	Position  event.Position `json:"position"`
	CreatedAt time.Time      `json:"created_at"` // when the oldest event still there was recorded
	UpdatedAt time.Time      `json:"updated_at"` // when the last event was recorded
	Deleted   bool           `json:"deleted"`    // the last event is a tombstone
}

// Description tells what a backend is, for people and for health checks. It holds no secrets.
type Description struct {
	Backend      string         `json:"backend"`  // "memory", "sqlite", "postgres"
	Version      string         `json:"version"`  // of the server or library
	Location     string         `json:"location"` // path, or host/database/schema; never a password
	Schema       int            `json:"schema"`   // version of the tables; 0 where there are none
	Durability   string         `json:"durability"`
	Head         event.Position `json:"head"`
	Capabilities []string       `json:"capabilities,omitempty"` // filled in by Store.Describe
}
