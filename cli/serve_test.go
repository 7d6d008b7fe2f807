package cli_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestServeAnswersUntilItIsToldToEnd(t *testing.T) {
	s := newShell(t)
	t.Setenv("LEX_EVENTS_BROKER", "")
	s.append("order-7", "order.placed", "{}")
	path := configFile(t, "events: {event_store_backend: sqlite, sqlite: {database: '"+strings.TrimPrefix(s.store, "sqlite:")+"'}}\n")
	for name, args := range map[string][]string{"URLs": {"--store", s.store, "--broker", "memory:"}, "a configuration": {"--config", path, "--store", ""}} {
		t.Run(name, func(t *testing.T) { answers(t, args) })
	}
}

func answers(t *testing.T, args []string) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := lexevents().Run(ctx, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...), nil, in, in)
		_ = in.Close()
		ended <- code
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%q: %v, exit code %d", line, err, <-ended)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	address := regexp.MustCompile(`http://[0-9.]+:[0-9]+`).FindString(line)
	for path, want := range map[string]string{
		"/healthz": `"ok"`, "/readyz": `"ready":true`, "/metrics": "\nevents_store_head_position 1\n",
	} {
		body := get(t, address+path)
		if !strings.Contains(body, want) {
			t.Errorf("%s: %q is missing in %s", path, want, body)
		}
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, response.Status, err, body)
	}
	return string(body)
}

func TestServeSaysWhyItCannotBegin(t *testing.T) {
	s := newShell(t)
	t.Setenv("LEX_EVENTS_BROKER", "")
	s.refuses(2, []string{"nothing to watch", "--config"}, "serve", "--store", "")
	s.refuses(2, []string{"nothing to watch", "memory store and the memory broker"}, "serve", "--store", "", "--config", configFile(t, "events:\n"))
	s.refuses(1, []string{"outbx", "LEX_ERR_EVT_141"}, "serve", "--store", "", "--config", configFile(t, "events: {outbx: 1}\n"))
	s.refuses(2, []string{"--timeout"}, "serve", "--timeout", "-1s")
	s.refuses(1, []string{"migrate up"}, "serve")
	s.append("order-7", "order.placed", "{}")
	s.refuses(1, []string{"999.0.0.1"}, "serve", "--addr", "999.0.0.1:1")
}
