package mongostore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"lexigram.dev/events/event"
	"lexigram.dev/events/internal/testserver"
	"lexigram.dev/events/store"
	"lexigram.dev/events/store/mongostore"
)

// proxy stands between the store and the server, and can lose the answer to a command.
type proxy struct {
	url      string // of the server, through the proxy
	target   string
	listener net.Listener

	loseAnswerTo atomic.Value // string: the command whose next answer is lost, and the connection with it; "": none
	lost         chan struct{}

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

func newProxy(t *testing.T, serverURL string) *proxy {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host, listener: listener, lost: make(chan struct{}, 1)}
	p.loseAnswerTo.Store("")
	u.Host = listener.Addr().String()
	p.url = u.String()
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		lose := &atomic.Bool{} // the next answer on this connection
		p.wg.Go(func() { p.carry(client, server, func(message []byte) bool { p.watch(message, lose); return true }) })
		p.wg.Go(func() { p.carry(server, client, func([]byte) bool { return !lose.Load() }) })
	}
}

// watch looks for the command whose answer is to be lost.
func (p *proxy) watch(message []byte, lose *atomic.Bool) {
	command, _ := p.loseAnswerTo.Load().(string)
	if command == "" || len(message) < 22 {
		return
	}
	if first, err := bson.Raw(message[21:]).IndexErr(0); err == nil && first.Key() == command {
		if strings.HasSuffix(first.Value().StringValue(), "_commits") || command != "insert" {
			p.loseAnswerTo.Store("")
			lose.Store(true)
		}
	}
}

// carry passes whole messages on until pass says no.
func (p *proxy) carry(from, to net.Conn, pass func(message []byte) bool) {
	defer func() {
		_ = from.Close()
		_ = to.Close()
	}()
	for {
		var length [4]byte
		if _, err := io.ReadFull(from, length[:]); err != nil {
			return
		}
		message := make([]byte, binary.LittleEndian.Uint32(length[:]))
		copy(message, length[:])
		if _, err := io.ReadFull(from, message[4:]); err != nil {
			return
		}
		if !pass(message) {
			p.lost <- struct{}{}
			return
		}
		if _, err := to.Write(message); err != nil {
			return
		}
	}
}

func TestAnAppendWhoseAnswerIsLostIsStoredOnceAndAnswered(t *testing.T) {
	serverURL := testserver.URL(t, mongoServer)
	p := newProxy(t, serverURL)
	database := newDatabase(t, serverURL)
	s := store.New(open(t, p.url+"&retryWrites=false", mongostore.Options{Database: database}), store.Options{})
	if _, err := s.Append(t.Context(), "a-1", store.NoStream(), event.Pending{Type: "x"}); err != nil {
		t.Fatal(err)
	}
	pending := []event.Pending{{ID: event.NewID(), Type: "y"}, {ID: event.NewID(), Type: "z"}}
	p.loseAnswerTo.Store("insert")
	res, err := s.Append(t.Context(), "a-1", store.Exactly(1), pending...)
	if err != nil || res.First != 2 || res.Last != 3 || res.Version() != 3 {
		t.Fatalf("got %+v, %v; want what the server has stored", res, err)
	}
	select {
	case <-p.lost:
	default:
		t.Fatal("no answer was lost: this test sees nothing")
	}
	again, err := s.Append(t.Context(), "a-1", store.Exactly(1), pending...)
	if err != nil || !again.Duplicate || again.First != res.First || again.Version() != 3 {
		t.Errorf("the retry gave %+v, %v; want the first result", again, err)
	}
	if n := count(t, s); n != 3 {
		t.Errorf("the log has %d events, want 3", n)
	}
}

func TestAnAppendToAServerThatStaysAwayIsUnknownAndARetryTells(t *testing.T) {
	serverURL := testserver.URL(t, mongoServer)
	p := newProxy(t, serverURL)
	database := newDatabase(t, serverURL)
	s := store.New(open(t, p.url+"&retryWrites=false", mongostore.Options{Database: database, ReconnectFor: 500 * time.Millisecond}), store.Options{})
	if _, err := s.Append(t.Context(), "a-1", store.NoStream(), event.Pending{Type: "x"}); err != nil {
		t.Fatal(err)
	}
	_ = p.listener.Close() // those that are there stay
	pending := event.Pending{ID: event.NewID(), Type: "y"}
	p.loseAnswerTo.Store("insert")
	_, err := s.Append(t.Context(), "a-1", store.Exactly(1), pending)
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	direct := store.New(open(t, serverURL, mongostore.Options{Database: database}), store.Options{})
	again, err := direct.Append(t.Context(), "a-1", store.Exactly(1), pending)
	if err != nil || !again.Duplicate || again.First != 2 {
		t.Errorf("the retry gave %+v, %v; want the first result", again, err)
	}
	if n := count(t, direct); n != 2 {
		t.Errorf("the log has %d events, want 2", n)
	}
}

func TestABatchOfRecordsThatWasInterruptedIsCarriedOutByWhoComesNext(t *testing.T) {
	url := testserver.URL(t, mongoServer)
	database := newDatabase(t, url)
	b := open(t, url, mongostore.Options{Database: database})
	old, err := b.Apply(t.Context(), []store.Op{store.Put("b", "kept", []byte("old")), store.Put("b", "gone", nil)})
	if err != nil {
		t.Fatal(err)
	}
	// What a process leaves that dies right after its batch was done.
	db := connect(t, url).Database(database)
	id := event.NewID()
	batch := bson.Binary{Subtype: bson.TypeBinaryUUID, Data: id[:]}
	if _, err := db.Collection("lexigram_records").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "b\x01new"}, {Key: "claims", Value: bson.A{batch}}}); err != nil {
		t.Fatal(err)
	}
	last := int64(old[1])
	ops := bson.A{
		bson.D{{Key: "id", Value: "b\x01kept"}, {Key: "revision", Value: last + 1}, {Key: "value", Value: []byte("new")}},
		bson.D{{Key: "id", Value: "b\x01gone"}, {Key: "revision", Value: last + 2}, {Key: "delete", Value: true}, {Key: "value", Value: nil}},
		bson.D{{Key: "id", Value: "b\x01new"}, {Key: "revision", Value: last + 3}, {Key: "value", Value: []byte("new")}},
	}
	if _, err := db.Collection("lexigram_meta").UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "records"}}, bson.D{{Key: "$set", Value: bson.D{
		{Key: "last", Value: last + 3}, {Key: "done", Value: false}, {Key: "batch", Value: batch}, {Key: "ops", Value: ops},
	}}}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"new", "kept"} {
		if r, err := b.Get(t.Context(), "b", key); err != nil || string(r.Value) != "new" {
			t.Errorf("%s is %q, %v", key, r.Value, err)
		}
	}
	if _, err := b.Get(t.Context(), "b", "gone"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the deleted record: %v", err)
	}
	if revisions, err := b.Apply(t.Context(), []store.Op{store.Put("b", "kept", nil).When(store.IfRevision(store.Revision(last + 1)))}); err != nil || int64(revisions[0]) <= last+3 {
		t.Errorf("the next batch gave %v, %v", revisions, err)
	}
}

func TestAnUnreachableServerIsNamedWithinTheContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = mongostore.Open(ctx, "mongodb://root:hunter2@"+address+"/db", mongostore.Options{})
	if err == nil || time.Since(began) > 5*time.Second {
		t.Fatalf("got %v after %v", err, time.Since(began))
	}
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want the context's end or ErrUnavailable", err)
	}
	if !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error must name the server and no password: %v", err)
	}
}

// count proves positions 1, 2, 3… and returns how many.
func count(t *testing.T, s *store.Store) int {
	t.Helper()
	n := 0
	for e, err := range s.ReadLog(t.Context(), store.LogRead{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; int(e.Position) != n {
			t.Fatalf("entry %d has position %d", n, e.Position)
		}
	}
	return n
}
