package stream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/event"
	"lexigram.dev/events/store"
	"lexigram.dev/events/stream"
)

// serving serves a feed; left receives when a request has ended.
func serving(t *testing.T, h http.Handler) (url string, left chan struct{}) {
	t.Helper()
	left = make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { left <- struct{}{} }()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, left
}

// answer is what a request got. Its body is closed when the test ends.
type answer struct {
	status int
	header http.Header
}

// get asks for events. What comes is read by lines.
func get(t *testing.T, url, last string) (a answer, lines *bufio.Scanner, gone func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return answer{response.StatusCode, response.Header}, bufio.NewScanner(response.Body), cancel
}

// block reads up to an empty line.
func block(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	var b []string
	for lines.Scan() {
		if lines.Text() == "" {
			return strings.Join(b, "\n")
		}
		b = append(b, lines.Text())
	}
	t.Fatalf("it has ended after %q: %v", b, lines.Err())
	return ""
}

func TestABrowserGetsFramesAndResumesFromItsLastEventID(t *testing.T) {
	s := memory(t)
	feed := running(t, s, stream.Options{})
	url, left := serving(t, feed.Handler(stream.Everyone, stream.HandlerOptions{}))
	add(t, s, "order-1", "order.placed", 3)

	response, lines, gone := get(t, url, "")
	if got := response.header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("it is %s", got)
	}
	if got := block(t, lines); got != "id: 3" { // to resume from, if nothing comes
		t.Errorf("it begins with %q", got)
	}
	_, err := s.Append(t.Context(), "order-2", store.NoStream(), event.Pending{Type: "order.placed", Data: []byte("{\"big\":\n12345678901234567890}")})
	if err != nil {
		t.Fatal(err)
	}
	id, data, _ := strings.Cut(block(t, lines), "\n")
	var frame stream.Frame
	if err := json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &frame); err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	_ = json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &keys)
	if id != "id: 4" || frame.Position != 4 || frame.Stream != "order-2" || frame.Version != 1 || frame.Type != "order.placed" ||
		frame.OccurredAt.IsZero() || frame.EventID == "" || string(frame.Data) != `{"big":12345678901234567890}` || len(keys) != 7 {
		t.Errorf("got %q %+v", id, frame)
	}
	gone()
	<-left

	_, lines, _ = get(t, url+"?after=3", "1") // the header is the newer one
	for _, want := range []string{"id: 1", "id: 2", "id: 3", "id: 4"} {
		if got, _, _ := strings.Cut(block(t, lines), "\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestARequestFiltersByCategoryTypeAndStream(t *testing.T) {
	s := memory(t)
	url, _ := serving(t, running(t, s, stream.Options{}).Handler(stream.Everyone, stream.HandlerOptions{}))
	add(t, s, "order-1", "order.placed", 1)
	add(t, s, "order-2", "order.paid", 1)
	add(t, s, "user-1", "user.named", 1)
	add(t, s, "end-1", "end", 1)
	for query, want := range map[string]string{
		"category=order&category=end":            "id: 1 id: 2 id: 4",
		"type=order.placed&type=user.named":      "id: 1 id: 3",
		"stream=order-2&stream=user-1":           "id: 2 id: 3",
		"category=order&type=order.paid&after=0": "id: 2",
	} {
		_, lines, _ := get(t, url+"?"+query, "0")
		block(t, lines)
		var got []string
		for range strings.Split(want, " id") {
			id, _, _ := strings.Cut(block(t, lines), "\n")
			got = append(got, id)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", query, got, want)
		}
	}
}

func TestWhatIsNoJSONComesInBase64WithItsType(t *testing.T) {
	for contentType, data := range map[string]string{"text/plain": "hé", "application/json": "{broken"} {
		line, err := stream.Encode(event.Recorded{ContentType: contentType, Data: []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		var frame struct {
			ContentType string `json:"content_type"`
			Data        []byte `json:"data"`
		}
		if err := json.Unmarshal(line, &frame); err != nil || string(frame.Data) != data || frame.ContentType != contentType {
			t.Errorf("got %+v, %v", frame, err)
		}
	}
}

func TestRequestsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	s := memory(t)
	add(t, s, "order-1", "order.placed", 1)
	feed := running(t, s, stream.Options{MaxSubscribers: 1})
	var asked []string
	url, _ := serving(t, feed.Handler(func(_ *http.Request, f store.Filter) bool {
		asked = append(asked, f.Categories...)
		return !slices.Contains(f.Categories, "secret")
	}, stream.HandlerOptions{}))
	nobody, _ := serving(t, feed.Handler(nil, stream.HandlerOptions{}))
	for _, c := range []struct {
		url, last string
		want      int
	}{
		{url + "?category=secret", "0", http.StatusForbidden},
		{nobody, "0", http.StatusForbidden},
		{url + "?categry=order", "", http.StatusBadRequest},
		{url + "?after=-1", "", http.StatusBadRequest},
		{url, "x", http.StatusBadRequest},
		{url, "99", http.StatusBadRequest},
		{url + "?category=", "", http.StatusBadRequest},
	} {
		response, lines, _ := get(t, c.url, c.last)
		body := ""
		for lines.Scan() {
			body += lines.Text()
		}
		if response.status != c.want || strings.Contains(body, "order-1") {
			t.Errorf("%s: got %d %s, want %d", c.url, response.status, body, c.want)
		}
	}
	if len(asked) != 1 || asked[0] != "secret" {
		t.Errorf("authorize was asked for %v", asked)
	}
	if n := feed.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
	subscribe(t, feed, store.Filter{}, 0)
	if response, _, _ := get(t, url, ""); response.status != http.StatusServiceUnavailable || response.header.Get("Retry-After") == "" {
		t.Errorf("one too many: got %d", response.status)
	}
}

func TestOtherMethodsAndWebSocketsAreRefused(t *testing.T) {
	h := stream.New(memory(t), stream.Options{}).Handler(stream.Everyone, stream.HandlerOptions{})
	post, upgrade := httptest.NewRequest(http.MethodPost, "/", nil), httptest.NewRequest(http.MethodGet, "/", nil)
	upgrade.Header.Set("Upgrade", "websocket")
	for r, want := range map[*http.Request]int{post: http.StatusMethodNotAllowed, upgrade: http.StatusBadRequest} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("got %d, want %d", w.Code, want)
		}
	}
}

func TestAnIdleConnectionGetsHeartbeatsAndLaterEvents(t *testing.T) {
	s := memory(t)
	url, _ := serving(t, running(t, s, stream.Options{}).Handler(stream.Everyone, stream.HandlerOptions{Heartbeat: time.Millisecond}))
	_, lines, _ := get(t, url, "")
	block(t, lines)
	for range 3 {
		if got := block(t, lines); got != ":" {
			t.Errorf("got %q, want a comment", got)
		}
	}
	add(t, s, "order-1", "order.placed", 1)
	for {
		if got := block(t, lines); got != ":" {
			if !strings.HasPrefix(got, "id: 1\ndata: ") {
				t.Errorf("got %q", got)
			}
			return
		}
	}
}

func TestAClientThatHasGoneLeavesNothingBehind(t *testing.T) {
	feed := running(t, memory(t), stream.Options{})
	url, left := serving(t, feed.Handler(stream.Everyone, stream.HandlerOptions{}))
	_, lines, gone := get(t, url, "")
	block(t, lines)
	gone()
	<-left
	if n := feed.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestAClientThatReceivesNothingIsDisconnected(t *testing.T) {
	s := memory(t)
	feed := running(t, s, stream.Options{})
	url, left := serving(t, feed.Handler(stream.Everyone, stream.HandlerOptions{WriteTimeout: 50 * time.Millisecond}))
	if _, err := s.Append(t.Context(), "order-1", store.Any(), event.Pending{Type: "big", Data: []byte(`"` + strings.Repeat("x", 900_000) + `"`)}); err != nil {
		t.Fatal(err)
	}
	for i := range 15 {
		if _, err := s.Append(t.Context(), event.StreamID("order-"+string(rune('a'+i))), store.Any(), event.Pending{Type: "big", Data: []byte(`"` + strings.Repeat("x", 900_000) + `"`)}); err != nil {
			t.Fatal(err)
		}
	}
	get(t, url, "0") // and never reads
	<-left
	if n := feed.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestRequestsEndWhenTheFeedDoesSoThatAServerCanShutDown(t *testing.T) {
	feed := stream.New(memory(t), stream.Options{})
	stop := start(t, feed)
	server := httptest.NewServer(feed.Handler(stream.Everyone, stream.HandlerOptions{}))
	defer server.Close()
	_, lines, _ := get(t, server.URL, "")
	block(t, lines)
	stop()
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("got %q, %v; want the end", lines.Text(), lines.Err())
	}
}
