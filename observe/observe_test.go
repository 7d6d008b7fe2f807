package observe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"lexigram.dev/events/observe"
)

func ExampleNewSlog() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))
	hooks, err := observe.NewHooks(observe.NewSlog(logger))
	if err != nil {
		fmt.Println(err)
	}
	hooks.Append(context.Background(), observe.Append{Stream: "order-7", Streams: 1, Events: 2})
	// Output: level=DEBUG msg=append stream=order-7 streams=1 events=2 duplicate=false
}

type onlyReads struct{ got []observe.Read }

func (o *onlyReads) OnRead(_ context.Context, r observe.Read) { o.got = append(o.got, r) }

func TestHooksAreCalledForWhatTheyListenToOnly(t *testing.T) {
	reads := &onlyReads{}
	hooks, err := observe.NewHooks(reads)
	if err != nil {
		t.Fatal(err)
	}
	if hooks.WatchesAppends() || !hooks.WatchesReads() || hooks.WatchesDispatches() {
		t.Error("the hooks do not know what is listened to")
	}
	hooks.Append(t.Context(), observe.Append{})
	hooks.Read(t.Context(), observe.Read{Stream: "a-1", Events: 3})
	if len(reads.got) != 1 || reads.got[0].Events != 3 {
		t.Errorf("got %+v", reads.got)
	}
	if _, err := observe.NewHooks(42); err == nil {
		t.Error("a hook that listens to nothing was accepted")
	}
}

func TestFailuresAreLoggedAsWarnings(t *testing.T) {
	var out bytes.Buffer
	s := observe.NewSlog(slog.New(slog.NewTextHandler(&out, nil)))
	s.OnRead(t.Context(), observe.Read{})
	s.OnDispatch(t.Context(), observe.Dispatch{Kind: "command", Name: "PlaceOrder", Err: errors.New("sold out")})
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "sold out") {
		t.Errorf("logged %q", got)
	}
}
