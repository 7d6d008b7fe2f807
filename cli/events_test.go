package cli_test

import (
	"context"
	"io"
	"strings"
	"testing"
)

func TestAppendTellsWhereTheEventIs(t *testing.T) {
	s := newShell(t)
	has(t, s.must("append", "order-7", "--type", "order.placed", "--data", `{"total": 995}`, "--expect", "none"), "order-7", "version 1", "position 1")
	s.must("append", "order-7", "--type", "order.paid", "--data", "@"+write(t, "{\n \"by\": \"card\"\n}\n"), "--expect", "1", "--tag", "a:1", "--tag", "b:2", "--actor", "me")
	s.stdin = `"text"`
	s.must("append", "order-7", "--type", "order.noted", "--data", "@-", "--expect", "exists")
	events := objects(t, s.must("read", "order-7", "--json"))
	if len(events) != 3 || events[1]["data"].(map[string]any)["by"] != "card" || len(events[1]["tags"].([]any)) != 2 || events[2]["data"] != "text" {
		t.Errorf("got %v", events)
	}
}

func TestAppendWithAnIDIsIdempotent(t *testing.T) {
	s := newShell(t)
	args := []string{"append", "order-7", "--type", "x", "--data", "1", "--id", "01890000-0000-7000-8000-000000000001"}
	s.must(args...)
	has(t, s.must(args...), "already there", "version 1")
	args[5] = "2"
	s.refuses(1, []string{"01890000-0000-7000-8000-000000000001", "differs"}, args...)
}

func TestAppendRefusesBadInputAndWritesNothing(t *testing.T) {
	s := newShell(t)
	s.append("order-7", "order.placed", "{}")
	add := func(stream, data string, more ...string) []string {
		return append([]string{"append", stream, "--type", "x", "--data", data}, more...)
	}
	s.refuses(1, []string{"order-7", "JSON", "byte"}, add("order-7", `{"total":`)...)
	s.refuses(1, []string{"order-7", "empty"}, add("order-7", ``)...)
	s.refuses(1, []string{"order", "category-id"}, add("order", `1`)...)
	s.refuses(1, []string{"order-7", "no stream", "version 1"}, add("order-7", `1`, "--expect", "none")...)
	s.refuses(1, []string{"order-8", "does not exist"}, add("order-8", `1`, "--expect", "exists")...)
	s.refuses(1, []string{"version 9", "version 1"}, add("order-7", `1`, "--expect", "9")...)
	s.refuses(1, []string{"nowhere.json"}, add("order-7", `@nowhere.json`)...)
	s.refuses(1, []string{"255"}, add("order-"+strings.Repeat("x", 300), `1`)...)
	s.refuses(1, []string{"limit"}, add("order-7", "@"+write(t, `"`+strings.Repeat("x", 2<<20)+`"`))...)
	s.refuses(1, []string{"type"}, "append", "order-7", "--type", strings.Repeat("t", 200), "--data", "1")
	has(t, s.must("verify"), "ok: 1 event in 1 stream")
}

func TestReadShowsAStreamBothWays(t *testing.T) {
	s := newShell(t)
	for _, data := range []string{"1", "2", "3", "4"} {
		s.append("order-7", "order.changed", data)
	}
	versions := func(args ...string) (all string) {
		for _, e := range objects(t, s.must(append([]string{"read", "order-7", "--json"}, args...)...)) {
			all += string(rune('0' + int(e["version"].(float64))))
		}
		return all
	}
	for want, args := range map[string][]string{
		"1234": nil, "23": {"--from", "2", "--limit", "2"}, "43": {"--backwards", "--limit", "2"}, "21": {"--backwards", "--from", "2"}, "": {"--from", "9"},
	} {
		if got := versions(args...); got != want {
			t.Errorf("%v: got %s, want %s", args, got, want)
		}
	}
	has(t, s.must("read", "order-7"), "VERSION", "order.changed")
	s.refuses(1, []string{"nope-1", "not found"}, "read", "nope-1")
}

func TestStreamsAndInfoDescribeTheStore(t *testing.T) {
	s := newShell(t)
	s.append("order-7", "order.placed", "{}")
	s.append("user-1", "user.named", "{}")
	has(t, s.must("streams"), "order-7", "user-1")
	if got := objects(t, s.must("streams", "--category", "user", "--json")); len(got) != 1 || got[0]["stream"] != "user-1" {
		t.Errorf("got %v", got)
	}
	s.refuses(1, []string{"a-b"}, "streams", "--category", "a-b")
	has(t, s.must("info"), "sqlite", "head", "2", "user.named in user-1")
	if got := objects(t, s.must("info", "--json"))[0]; got["head"] != 2.0 || got["streams"] != 2.0 || got["backend"] != "sqlite" {
		t.Errorf("got %v", got)
	}
	s.store = "memory:"
	has(t, s.must("info"), "memory", "none")
}

func TestTailShowsTheEndOfTheLogFiltered(t *testing.T) {
	s := newShell(t)
	s.append("order-7", "order.placed", "1")
	s.append("user-1", "user.named", "2")
	s.append("order-7", "order.paid", "3")
	positions := func(args ...string) (all string) {
		for _, e := range objects(t, s.must(append([]string{"tail", "--no-follow", "--json"}, args...)...)) {
			all += string(rune('0' + int(e["position"].(float64))))
		}
		return all
	}
	for want, args := range map[string][]string{
		"123": nil, "3": {"--last", "1"}, "23": {"--from", "2"}, "13": {"--category", "order"},
		"12": {"--type", "order.placed", "--type", "user.named"}, "": {"--category", "order", "--type", "user.named"},
	} {
		if got := positions(args...); got != want {
			t.Errorf("%v: got %s, want %s", args, got, want)
		}
	}
	has(t, s.must("tail", "--no-follow"), "POSITION", "order-7@2")
}

func TestTailFollowsUntilCtrlC(t *testing.T) {
	s := newShell(t)
	s.append("order-7", "order.placed", "1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	code := make(chan int)
	go func() {
		code <- lexevents().Run(ctx, []string{"tail", "--json", "--store", s.store}, nil, w, io.Discard)
		w.Close()
	}()
	line := make([]byte, 4096)
	for _, want := range []string{"order.placed", "order.paid"} {
		n, err := r.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		has(t, string(line[:n]), want)
		if want == "order.placed" {
			s.append("order-7", "order.paid", "2")
		}
	}
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
}
