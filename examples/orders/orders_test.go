package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"lexigram.dev/events/store"
	"lexigram.dev/events/store/memstore"
	"lexigram.dev/events/store/sqlitestore"
)

// open runs a shop on a free port until close is called.
func open(t *testing.T, backend store.Backend) (url string, shut func()) {
	t.Helper()
	s, err := newShop(t.Context(), backend, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.run(ctx, listener) }()
	closed := false
	shut = func() {
		if closed {
			return
		}
		closed = true
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.engine.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(shut)
	return "http://" + listener.Addr().String(), shut
}

// ask makes a request, and gives the status and the decoded answer.
func ask[T any](t *testing.T, method, url, body string) (status int, value T) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s %s: %s: %q: %v", method, url, answer.Status, text, err)
	}
	return answer.StatusCode, value
}

const teapot = `{"id": "1", "customer": "ada", "product": "teapot", "quantity": 2, "cents": 3990}`

func TestAnOrderIsPlacedPaidAndShippedAndItsReaderSeesItsOwnWrites(t *testing.T) {
	url, _ := open(t, memstore.New(memstore.Options{}))
	for _, step := range []struct {
		path, body string
		status     int
		state      State
	}{
		{"/orders", teapot, http.StatusCreated, StatePlaced},
		{"/orders/1/pay", `{"cents": 3990}`, http.StatusOK, StatePaid},
		{"/orders/1/ship", `{"tracking": "T-1"}`, http.StatusOK, StateShipped},
	} {
		status, done := ask[Done](t, http.MethodPost, url+step.path, step.body)
		if status != step.status || done.Order != "1" || done.Position == 0 {
			t.Fatalf("%s: got %d, %+v", step.path, status, done)
		}
		if _, row := ask[listed](t, http.MethodGet, fmt.Sprintf("%s/orders/1?after=%d", url, done.Position), ""); row.State != step.state {
			t.Errorf("after %s the list shows %+v", step.path, row)
		}
	}
	for _, query := range []string{"", "?customer=ada", "?state=shipped", "?limit=1"} {
		if _, rows := ask[[]listed](t, http.MethodGet, url+"/orders"+query, ""); len(rows) != 1 || rows[0].Tracking != "T-1" {
			t.Errorf("orders%s: got %+v", query, rows)
		}
	}
	if _, rows := ask[[]listed](t, http.MethodGet, url+"/orders?customer=bob", ""); len(rows) != 0 {
		t.Errorf("got %+v", rows)
	}
	if _, days := ask[[]dated](t, http.MethodGet, url+"/revenue?after=3", ""); len(days) != 1 || days[0].RevenueCents != 3990 || days[0].Paid != 1 {
		t.Errorf("got %+v", days)
	}
	if status, _ := ask[map[string]any](t, http.MethodGet, url+"/health", ""); status != http.StatusOK {
		t.Errorf("health: %d", status)
	}
}

func TestWhatIsNotPossibleIsRefusedWithTheReason(t *testing.T) {
	url, _ := open(t, memstore.New(memstore.Options{}))
	ask[Done](t, http.MethodPost, url+"/orders", teapot)
	for _, c := range []struct {
		path, body string
		status     int
		reason     string
	}{
		{"/orders", teapot, http.StatusConflict, "exists already"},
		{"/orders", `{"customer": "ada"}`, http.StatusConflict, "needs a customer and a product"},
		{"/orders", `{"customers": "ada"}`, http.StatusBadRequest, `unknown field "customers"`},
		{"/orders", `{`, http.StatusBadRequest, "JSON"},
		{"/orders/1/ship", `{"tracking": "T-1"}`, http.StatusConflict, "the order is placed"},
		{"/orders/1/pay", `{"cents": 1}`, http.StatusConflict, "3990 cents, not 1"},
		{"/orders/2/pay", `{"cents": 1}`, http.StatusConflict, "no such order"},
	} {
		if status, answer := ask[map[string]string](t, http.MethodPost, url+c.path, c.body); status != c.status || !strings.Contains(answer["error"], c.reason) {
			t.Errorf("%s %s: got %d, %v", c.path, c.body, status, answer)
		}
	}
	for path, want := range map[string]int{"/orders/nosuch": http.StatusNotFound, "/orders?limit=0": http.StatusBadRequest, "/orders?after=x": http.StatusBadRequest} {
		if status, answer := ask[map[string]string](t, http.MethodGet, url+path, ""); status != want || answer["error"] == "" {
			t.Errorf("%s: got %d, %v", path, status, answer)
		}
	}
}

func TestTheLivePageHearsOfEachEvent(t *testing.T) {
	url, _ := open(t, memstore.New(memstore.Options{}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/live", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	live, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Body.Close()
	lines := bufio.NewScanner(live.Body)
	if !lines.Scan() || lines.Text() != ": welcome" {
		t.Fatalf("got %q", lines.Text())
	}
	ask[Done](t, http.MethodPost, url+"/orders", teapot)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if data != `{"order":"1","position":1,"type":"order.placed"}` {
				t.Errorf("got %s", data)
			}
			return
		}
	}
	t.Fatal("the stream ended")
}

func TestALoadOfOrdersAddsUpAndSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.db")
	backend := func() store.Backend {
		b, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{AutoMigrate: true})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	url, shut := open(t, backend())
	var out bytes.Buffer
	if err := (loadSettings{url: url, orders: 300, clients: 8}).run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "300 orders, 870 commands") {
		t.Errorf("got %s", out.String())
	}
	_, before := ask[[]dated](t, http.MethodGet, url+"/revenue", "")
	shut()

	url, _ = open(t, backend())
	if _, after := ask[[]dated](t, http.MethodGet, url+"/revenue?after=870", ""); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("before the restart %v, after it %v", before, after)
	}
	if err := (loadSettings{url: url, orders: 50, clients: 4}).run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
}

func TestWrongUsageIsToldApartFromFailure(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, 0, "Usage:"},
		{[]string{"sell"}, 2, `unknown command "sell"`},
		{[]string{"serve", "now"}, 2, `unexpected argument "now"`},
		{[]string{"load", "--orders", "0"}, 2, "at least 1"},
		{[]string{"load", "--url", "http://127.0.0.1:1"}, 1, "is the shop open"},
		{[]string{"serve", "--store", "oracle:x"}, 1, `unknown backend "oracle"`},
		{[]string{"fulfil", "--suppliers", "kind"}, 2, "failing, slow, steady"},
		{[]string{"fulfil", "--store", "memory:"}, 2, "one that lasts"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), c.args, &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%q: got %d, %s", c.args, code, out.String())
		}
	}
}

func TestFulfilmentBringsEachOrderToAnEndWhateverTheSuppliersDo(t *testing.T) {
	for kind, want := range map[string]struct {
		outcome string
		says    []string
	}{
		"steady":  {"3 orders: 3 completed", []string{"✓ step succeeded confirm", "completed"}},
		"failing": {"3 orders: 2 compensated, 1 completed", []string{"the carrier is away", "payments: declined", "✓ compensation succeeded charge"}},
		"slow":    {"3 orders: 1 compensated, 2 completed", []string{"it did not end in time", "✓ step succeeded ship, attempt 2", "✓ compensation succeeded charge"}},
	} {
		t.Run(kind, func(t *testing.T) {
			var out bytes.Buffer
			url := "sqlite:" + filepath.Join(t.TempDir(), "orders.db")
			if code := run(t.Context(), []string{"fulfil", "--suppliers", kind, "--store", url}, &out, &out); code != 0 {
				t.Fatal(out.String())
			}
			for _, phrase := range append(want.says, want.outcome) {
				if !strings.Contains(out.String(), phrase) {
					t.Errorf("%q is not in: %s", phrase, out.String())
				}
			}
		})
	}
}

func TestFulfilmentIsEnteredOnceAndRecalledAtAnyTime(t *testing.T) {
	var o Order
	if err := o.Place("ada", "cup", 1, 100); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := o.Fulfil("T-1"); err != nil || o.State != StateShipped {
			t.Errorf("got %s, %v", o.State, err)
		}
	}
	for range 2 {
		if err := o.Recall("lost"); err != nil || o.State != StateCancelled {
			t.Errorf("got %s, %v", o.State, err)
		}
	}
	if err := o.Fulfil("T-1"); err == nil || !strings.Contains(err.Error(), "the order is cancelled") {
		t.Errorf("got %v", err)
	}
}
