package pgstore

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// link is the connection that batches are sent on. The writer's goroutine sends, the link's own goroutine reads the
// answers, so that the next batch is on its way while one runs. It is used once: after a failure the writer makes
// another one.
type link struct {
	conn     *pgx.Conn
	net      net.Conn // of conn; written to directly, so that a batch is one write
	frontend *pgproto3.Frontend
	inflight chan *batch // sent, or about to be
	failed   atomic.Bool // nothing can be sent or received any more
	done     chan struct{}
	buf      []byte
}

// largeBuffer is the size above which the buffer of a batch is not kept for the next one.
const largeBuffer = 1 << 20

// newLink connects and starts reading.
func (w *writer) newLink(ctx context.Context) (*link, error) {
	l, err := w.dialLink(ctx)
	if err != nil {
		return nil, err
	}
	l.inflight = make(chan *batch, 2) // the depth of the queue: sending to it never blocks
	l.done = make(chan struct{})
	w.versions.forget()
	go l.read(ctx, w)
	return l, nil
}

// dialLink connects and prepares the statements.
func (w *writer) dialLink(ctx context.Context) (*link, error) {
	conn, err := w.dial(ctx)
	if err != nil {
		return nil, err
	}
	// The statements of one batch must each see what was committed before they began.
	_, err = conn.Exec(ctx, `set session characteristics as transaction isolation level read committed`)
	for _, s := range [...]struct{ name, sql string }{
		{stmtBegin, sqlAppendBegin}, {stmtCopy, sqlAppendCopy}, {stmtTags, sqlAppendTags}, {stmtOne, sqlAppendOne}, {stmtMany, sqlAppendMany},
	} {
		if err == nil {
			_, err = conn.Prepare(ctx, s.name, w.sql.in(s.sql))
		}
	}
	if err != nil {
		_ = conn.Close(ctx)
		return nil, w.explain(ctx, err)
	}
	return &link{conn: conn, net: conn.PgConn().Conn(), frontend: conn.PgConn().Frontend()}, nil
}

// send sends a batch that is held. The reader answers for it, whatever happens here.
func (l *link) send(w *writer, b *batch) {
	buf, err := encode(l.buf[:0], b)
	if err != nil { // a message over the protocol's limit of a gigabyte
		b.failAll(err)
		w.finish(b)
		return
	}
	if l.buf = buf; cap(buf) > largeBuffer {
		l.buf = nil
	}
	b.Release()
	l.inflight <- b
	if _, err := l.net.Write(buf); err != nil {
		l.fail()
	}
}

func (l *link) fail() {
	l.failed.Store(true)
	_ = l.net.Close() // the reader's Receive returns
}

// close ends the link and waits for the reader, which answers for everything that was sent.
func (l *link) close() {
	close(l.inflight)
	<-l.done
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx)
}

// read answers for the batches in the order in which they were sent. When ctx ends, what has no answer is given up.
func (l *link) read(ctx context.Context, w *writer) {
	defer close(l.done)
	defer context.AfterFunc(ctx, l.fail)()
	var broken error
	for b := range l.inflight {
		if broken == nil {
			var r reply
			if r, broken = l.receive(); broken == nil {
				w.found()
				w.answer(ctx, b, r)
				continue
			}
			l.fail()
		}
		w.recover(ctx, b, broken)
	}
}

// reply is the server's answer to one batch.
type reply struct {
	rows [][][]byte
	err  *pgconn.PgError
}

// receive reads up to ReadyForQuery: only then the transaction is committed.
func (l *link) receive() (reply, error) {
	var r reply
	for {
		message, err := l.frontend.Receive()
		if err != nil {
			if r.err != nil {
				return reply{}, r.err // the server said why it closes the connection
			}
			return reply{}, fmt.Errorf("read the answer: %w", err)
		}
		switch m := message.(type) {
		case *pgproto3.DataRow:
			row := make([][]byte, len(m.Values))
			for i, v := range m.Values { // they are in the connection's buffer
				if v != nil {
					row[i] = append([]byte{}, v...)
				}
			}
			r.rows = append(r.rows, row)
		case *pgproto3.ErrorResponse:
			if r.err == nil {
				r.err = pgconn.ErrorResponseToPgError(m)
			}
			if isLoss(r.err) {
				return reply{}, r.err
			}
		case *pgproto3.ReadyForQuery:
			return r, nil
		}
	}
}
