package mongostore

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// server is what a store knows of the server it works with.
type server struct {
	version    string
	ferret     string // version of FerretDB; "" for MongoDB
	replicaSet bool   // also a cluster of such: there are change streams
	sessions   bool   // causally consistent ones
	maxBytes   int    // of one document
}

// oldestMajor of the servers that have what is needed: 4.4.
const oldestMajor, oldestMinor = 4, 4

func askServer(ctx context.Context, db *mongo.Database, clock *clock) (server, error) {
	var build struct {
		Version string `bson:"version"`
		Ferret  string `bson:"ferretdbVersion"`
		Array   []int  `bson:"versionArray"`
	}
	if err := db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build); err != nil {
		return server{}, err
	}
	var hello struct {
		SetName  string `bson:"setName"`
		Msg      string `bson:"msg"` // "isdbgrid" of a cluster's router
		Sessions *int   `bson:"logicalSessionTimeoutMinutes"`
		MaxBytes int    `bson:"maxBsonObjectSize"`
	}
	asked := time.Now()
	raw, err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Raw()
	if err != nil {
		return server{}, err
	}
	if err := bson.Unmarshal(raw, &hello); err != nil {
		return server{}, err
	}
	clock.learn(raw, asked)
	s := server{
		version: build.Version, ferret: build.Ferret, replicaSet: hello.SetName != "" || hello.Msg == "isdbgrid",
		sessions: hello.Sessions != nil && build.Ferret == "", maxBytes: hello.MaxBytes,
	}
	if s.maxBytes == 0 {
		s.maxBytes = 16 << 20
	}
	if len(build.Array) >= 2 && (build.Array[0] < oldestMajor || build.Array[0] == oldestMajor && build.Array[1] < oldestMinor) {
		return s, incompatible("the server is MongoDB %s, needed is %d.%d or newer", build.Version, oldestMajor, oldestMinor)
	}
	return s, nil
}

func (s server) String() string {
	if s.ferret != "" {
		return fmt.Sprintf("%s (FerretDB %s)", s.version, s.ferret)
	}
	return s.version
}

func (s server) durability() string {
	switch {
	case s.ferret != "":
		return "that of the database under FerretDB; records want one writing process, since FerretDB's updates are not atomic"
	case s.replicaSet:
		return "majority of the replica set, journaled; wake-up by change stream"
	default:
		return "one server, journaled; wake-up by polling"
	}
}

// clock is the server's, as far as this process knows: its own, corrected by how far the server's was off when it was
// last asked. Times of records must mean the same to all processes.
type clock struct {
	offset atomic.Int64 // nanoseconds
	asked  atomic.Int64 // when, by the system's clock: nanoseconds since 1970
}

// clockTrust is how long an answer of the server's clock is good for.
const clockTrust = time.Minute

func (c *clock) now() time.Time {
	return time.Now().Add(time.Duration(c.offset.Load())).UTC().Truncate(time.Microsecond)
}

// learn takes the server's time from its answer to hello, which was asked for at the given time.
func (c *clock) learn(hello bson.Raw, asked time.Time) {
	if t, ok := hello.Lookup("localTime").TimeOK(); ok {
		half := time.Since(asked) / 2
		c.offset.Store(int64(t.Sub(asked.Add(half))))
	}
	c.asked.Store(time.Now().UnixNano())
}

// tick asks the server again when the last answer is old.
func (c *clock) tick(ctx context.Context, db *mongo.Database) {
	asked := time.Now()
	if asked.UnixNano()-c.asked.Load() < int64(clockTrust) {
		return
	}
	if raw, err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Raw(); err == nil {
		c.learn(raw, asked)
	}
}
