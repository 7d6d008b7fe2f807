package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"lexigram.dev/events/store"
)

// oldestServer is the lowest server_version_num that works.
const oldestServer = 13_00_00

// server is what the server says about itself.
type server struct {
	number                                   int
	version, encoding                        string
	fsync, synchronousCommit, fullPageWrites string
}

func askServer(ctx context.Context, conn *pgx.Conn) (server, error) {
	var s server
	err := conn.QueryRow(ctx, sqlServer).Scan(&s.number, &s.version, &s.encoding, &s.fsync, &s.synchronousCommit, &s.fullPageWrites)
	return s, err
}

// check refuses a server that cannot keep a store.
func (s server) check() error {
	if s.number < oldestServer {
		return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("the server is PostgreSQL %s, needed is 13 or newer", s.version)}
	}
	if s.encoding != "UTF8" {
		return &kindError{kind: store.ErrIncompatible, err: fmt.Errorf("the database has encoding %s, needed is UTF8", s.encoding)}
	}
	return nil
}

// durability says in plain words what an acknowledged append survives.
func (s server) durability() string {
	settings := fmt.Sprintf("(fsync=%s, synchronous_commit=%s, full_page_writes=%s)", s.fsync, s.synchronousCommit, s.fullPageWrites)
	switch {
	case s.fsync != "on":
		return "a crash of the machine may lose or damage everything " + settings
	case s.synchronousCommit == "off":
		return "a crash of the server may lose the last moments of acknowledged appends " + settings
	case s.fullPageWrites != "on":
		return "on disk before it is acknowledged, but a torn page after a crash may damage it " + settings
	}
	return "on disk before it is acknowledged " + settings
}
