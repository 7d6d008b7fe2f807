package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"lexigram.dev/events/config"
)

// start starts the service as its file says, over a database of the test's own.
func start(t *testing.T, database string) (url string, stop func()) {
	t.Helper()
	cfg, err := config.Load(config.Source{Path: "application.yaml", Environ: []string{"LEX_EVENTS__SQLITE__DATABASE=" + database}})
	if err != nil {
		t.Fatal(err)
	}
	var l *listener
	app := fxtest.New(t, fx.NopLogger, service(cfg, "127.0.0.1:0"), fx.Populate(&l))
	app.RequireStart()
	return "http://" + l.Addr().String(), func() { app.RequireStop() }
}

func call(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(raw))
}

func TestABookIsLentOnceAndTheServiceRemembersItWhenItStartsAgain(t *testing.T) {
	database := filepath.Join(t.TempDir(), "library.db")
	url, stop := start(t, database)
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/lend", `{"book":"emma","reader":"ada"}`, http.StatusOK},
		{"/lend", `{"book":"emma","reader":"bob"}`, http.StatusConflict},
		{"/lend", `{"book":"dune","reader":"bob"}`, http.StatusOK},
		{"/return", `{"book":"dune"}`, http.StatusOK},
		{"/return", `{"book":"dune"}`, http.StatusConflict},
		{"/lend", `{"reader":"bob"}`, http.StatusBadRequest},
		{"/lend", `book`, http.StatusBadRequest},
	} {
		if status, answer := call(t, http.MethodPost, url+c.path, c.body); status != c.want {
			t.Errorf("%s %s gave %d %s", c.path, c.body, status, answer)
		}
	}
	stop()

	url, stop = start(t, database)
	defer stop()
	tick := time.NewTicker(10 * time.Millisecond) // until the read model has caught up
	defer tick.Stop()
	for {
		_, adas := call(t, http.MethodGet, url+"/readers/ada/books", "")
		_, bobs := call(t, http.MethodGet, url+"/readers/bob/books", "")
		if adas == `["emma"]` && bobs == `[]` {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("ada has %s, bob %s", adas, bobs)
		}
	}
	if status, answer := call(t, http.MethodGet, url+"/healthz", ""); status != http.StatusOK || !strings.Contains(answer, `"ok":true`) {
		t.Errorf("health gave %d %s", status, answer)
	}
}
