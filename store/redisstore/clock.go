package redisstore

import (
	"sync/atomic"
	"time"
)

// clock knows the server's time from its answers: to about the time that an answer takes. Events carry it when they are
// sent; where it is wrong by more than 20 ms the script puts its own in.
type clock struct{ ahead atomic.Int64 } // of the server: microseconds

// now is the server's time in microseconds since 1970.
func (c *clock) now() int64 { return time.Now().UnixMicro() + c.ahead.Load() }

// set notes what an answer that has just come says.
func (c *clock) set(server int64) { c.ahead.Store(server - time.Now().UnixMicro()) }
